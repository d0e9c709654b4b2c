/**
 * Runs finished cells again and compares them bit by bit: `deno task verify RUN|DIR`, see `--help`.
 *
 * @module
 */

import { verifyMain } from "../lib/sweep/verify_main.ts";

Deno.exitCode = await verifyMain(Deno.args);
