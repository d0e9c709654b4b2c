/**
 * The fine-tuning methods, by name.
 *
 * @module
 */

import { adapter } from "./adapter.ts";
import { bitfit } from "./bitfit.ts";
import { full } from "./full.ts";
import { head } from "./head.ts";
import { ia3 } from "./ia3.ts";
import { lora } from "./lora.ts";
import type { Method } from "./method.ts";
import { prefix } from "./prefix.ts";
import { softPrompt } from "./soft_prompt.ts";
import { zeroShot } from "./zero_shot.ts";

/** Every method. A new one is a new file and a line here. */
export const methods: Readonly<Record<string, Method>> = Object.fromEntries(
  [zeroShot, head, full, bitfit, softPrompt, prefix, adapter, lora, ia3]
    .map((method) => [method.name, method]),
);
