import type { LinearSite } from "../layers/site.ts";
import { rowNorms } from "./dora.ts";
import { type WeightMatrix, weightOf } from "./merge.ts";
import type { MergeTarget, ParameterValues } from "./method.ts";

/** What of LoRA's options decides a merged weight. */
export interface LoraMerge {
  readonly sites: readonly LinearSite[];
  readonly rank: number;
  readonly scaling: number;
  readonly dora: boolean;
  readonly pissa: boolean;
}

/**
 * The base's weights with a LoRA in them: W + s·B·A; PiSSA's less s·B₀·A₀; DoRA's with rows of the
 * trained magnitude.
 */
export function mergeLora(
  { base, delta }: MergeTarget,
  { sites, rank, scaling, dora, pissa }: LoraMerge,
): Map<string, Float32Array<ArrayBuffer>> {
  const merged = new Map<string, Float32Array<ArrayBuffer>>();
  for (const site of sites) {
    const weight = weightOf(site, base);
    const trained = product(site, rank, delta, "weight");
    const initial = pissa ? product(site, rank, delta, "initial") : () => 0;
    const sum = (value: number, output: number, input: number) =>
      value + scaling * (trained(output, input) - initial(output, input));
    merged.set(weight.name, dora ? scaled(site, weight, sum, delta) : weight.map(sum));
  }
  return merged;
}

type Entry = (output: number, input: number) => number;

/** (B·A)[output, input], in f64. */
function product(
  { path, inputs }: LinearSite,
  rank: number,
  delta: ParameterValues,
  suffix: string,
): Entry {
  const [a, b] = ["A", "B"].map((part) => {
    const values = delta.get(`${path}.lora_${part}.${suffix}`);
    if (values !== undefined) return values;
    throw new RangeError(`Cannot merge: ${path}.lora_${part}.${suffix} has no values`);
  });
  return (output, input) => {
    let total = 0;
    for (let r = 0; r < rank; r++) total += b[output * rank + r] * a[r * inputs + input];
    return total;
  };
}

function scaled(
  site: LinearSite,
  weight: WeightMatrix,
  sum: (value: number, output: number, input: number) => number,
  delta: ParameterValues,
): Float32Array<ArrayBuffer> {
  const at: Entry = (output, input) => sum(weight.at(output, input), output, input);
  const norms = rowNorms(site, { at });
  const magnitude = delta.get(`${site.path}.lora_magnitude_vector`);
  if (magnitude === undefined) {
    throw new RangeError(`Cannot merge: ${site.path}.lora_magnitude_vector has no values`);
  }
  return weight.map((value, output, input) =>
    sum(value, output, input) * magnitude[output] / norms[output]
  );
}
