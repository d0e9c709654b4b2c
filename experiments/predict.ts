/**
 * Classifies texts with a finished run: `deno task predict`, see `--help`.
 *
 * @module
 */

import { discardUnfinishedWrites } from "../lib/formats/atomic.ts";
import { predictMain } from "../lib/sweep/predict.ts";

for (const name of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(name, () => {
    discardUnfinishedWrites();
    Deno.exit(130);
  });
}
Deno.exit(await predictMain(Deno.args));
