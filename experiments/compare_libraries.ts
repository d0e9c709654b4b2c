/**
 * Shows what each library means by a method's name, on a model of which only the configuration is
 * needed: no weights, no GPU.
 *
 * @module
 */

import { compareMain } from "../lib/sweep/compare_libraries.ts";
import t5SmallSst2 from "./t5_small_sst2.ts";

Deno.exitCode = await compareMain(Deno.args, t5SmallSst2.published);
