/**
 * Compares this project's models with numbers that other software computed.
 *
 * @module
 */

import { parityMain } from "../lib/parity/main.ts";

Deno.exitCode = await parityMain(Deno.args);
