/**
 * Methods of fine-tuning: their options, attaching them to a model, merging what they trained.
 * Nothing here starts a device.
 *
 * @example Attach LoRA to a base, and see what trains
 * ```ts
 * import { attachMethod, methods } from "@tunegrid/tunegrid/methods";
 * import { openBase } from "@tunegrid/tunegrid/models";
 *
 * const model = (await openBase("embedded")).build(2, false);
 * const { lora } = methods;
 * const { counts } = attachMethod(model, lora, lora.parse({ rank: 8 }));
 * console.log(`${counts.trainable} of ${counts.total} parameters train`);
 * ```
 *
 * @module
 */

export { methods } from "./lib/peft/index.ts";
export {
  type Attachable,
  type Attached,
  attachMethod,
  type MergeTarget,
  type Method,
  type MethodOptions,
  type ParameterValues,
  type Start,
  type Target,
} from "./lib/peft/method.ts";
export { mergeMethod } from "./lib/peft/merge.ts";
export type { Semantics } from "./lib/peft/semantics.ts";
export {
  type MethodInfo,
  type MethodRegistry,
  type MethodRequest,
  type MethodSpec,
  parseMethods,
  resolveMethod,
} from "./lib/sweep/method_spec.ts";
