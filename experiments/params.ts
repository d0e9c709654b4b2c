/**
 * Counts parameters from configurations alone: no weights, no GPU.
 *
 * @module
 */

import { paramsMain } from "../lib/sweep/params.ts";

Deno.exitCode = await paramsMain(Deno.args);
