/**
 * Bases and what they are made of: configuration, weights, tokenizer, parameters and the sites that
 * methods attach to. Nothing here starts a device.
 *
 * @example Count the parameters of a base
 * ```ts
 * import { countParameters, openBase } from "@tunegrid/tunegrid/models";
 *
 * const base = await openBase("embedded");
 * const model = base.build(2, false);
 * console.log(model.family, countParameters(model.scope.select()));
 * ```
 *
 * @module
 */

export { type Base, type BaseParts, EMBEDDED, makeBase, openBase } from "./lib/sweep/base.ts";
export { type Build, buildModel, families, type ModelTask } from "./lib/models/index.ts";
export type { RawConfig } from "./lib/models/config.ts";
export type { DType, Node } from "./lib/graph/node.ts";
export type { Affine, Dim, Shape } from "./lib/graph/shape.ts";
export type { Classify, Model, ModelInputs, TextToText, Tie, Trace } from "./lib/models/model.ts";
export { knownConfigs } from "./lib/models/known_configs.ts";
export { countParameters, type Initializer, type Parameter, Scope } from "./lib/layers/scope.ts";
export type {
  BlockSite,
  Context,
  EmbedSite,
  KeyValues,
  KeyValueSite,
  LinearSite,
  Sequence,
  Site,
  WeightLayout,
} from "./lib/layers/site.ts";
export { loadTokenizer, makeTokenizer, type Tokenizer } from "./lib/data/tokenizer.ts";
export {
  isPartSource,
  loadWeights,
  type PartSource,
  streamWeights,
  type TensorSource,
} from "./lib/train/load_weights.ts";
export { StreamedValues, type ValueReader } from "./lib/train/weight_values.ts";
export { initialValues, randomWeights, type WeightValues } from "./lib/train/initialize.ts";
