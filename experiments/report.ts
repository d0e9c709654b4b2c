/**
 * Writes tables and a page about a folder of runs: `deno task report DIR`, see `--help`.
 *
 * @module
 */

import { reportMain } from "../lib/report/main.ts";

Deno.exitCode = await reportMain(Deno.args);
