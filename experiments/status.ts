/**
 * Shows where a sweep stands: `deno task status DIR`, see `--help`.
 *
 * @module
 */

import { statusMain } from "../lib/report/status_main.ts";

Deno.exitCode = await statusMain(Deno.args);
