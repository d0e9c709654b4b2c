/**
 * Exports a finished run: ONNX, PEFT, AdapterHub, Hugging Face or own files, with a model card.
 *
 * @module
 */

import { exportMain } from "../lib/sweep/export_main.ts";

Deno.exitCode = await exportMain(Deno.args);
