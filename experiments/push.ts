/**
 * Uploads an exported folder to the Hugging Face Hub: `deno task push DIR ID`, see `--help`.
 *
 * @module
 */

import { pushMain } from "../lib/hub/push_main.ts";

Deno.exitCode = await pushMain(Deno.args);
