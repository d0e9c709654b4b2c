/**
 * Fetches a base or data set of the Hugging Face Hub: `deno task fetch ID`, see `--help`.
 *
 * @module
 */

import { fetchMain } from "../lib/hub/fetch_main.ts";

Deno.exitCode = await fetchMain(Deno.args);
