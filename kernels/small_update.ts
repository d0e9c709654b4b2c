import { stepVectors } from "./adamw.ts";
import { addSquares, PARTIALS, writeClip } from "./grad_norm.ts";
import { type Kernel, kernel } from "./kernel.ts";
import { reduction } from "./reduce.ts";

/** What an invocation adds up of a tensor's squares; `n` elements are one stripe. */
const SQUARES = `fn squares(start: u32, n: u32, lane: u32) -> f32 {
  let stripe = 0u;
  let step = ${PARTIALS}u;
${addSquares("g")}
  return total;
}`;

/**
 * A whole update of small tensors in one workgroup: what `square_partials`, `clip_coefficient`, `adamw`
 * and `advance` do one after the other, with the same order of sums.
 *
 * w, g, m, v: tensors side by side, `count` in all, of at most 4,096 elements each. tensors: a row of
 * (first vec4, elements, bits of the decay, bits of the factor on the rate) for each. schedule,
 * step_count and clip are as those kernels have them.
 */
export const smallUpdateKernel: Kernel = kernel({
  name: "small_update",
  reads: { tensors: "vec4<u32>", schedule: "vec4<f32>" },
  writes: {
    ...{ step_count: "u32", clip: "f32" },
    ...{ w: "vec4<f32>", g: "vec4<f32>", m: "vec4<f32>", v: "vec4<f32>" },
  },
  params: {
    ...{ count: "u32", limited: "u32", max_norm: "f32", steps: "u32" },
    ...{ beta1: "f32", rest1: "f32", beta2: "f32", rest2: "f32", epsilon: "f32" },
  },
  tune: { wg: PARTIALS },
  workgroups: () => 1,
  globals: ({ wg }) => `${reduction("sum", wg)}\n${SQUARES}`,
  body: ({ wg }) =>
    `  let number = step_count[0];
  var total = 0.0;
  for (var t = 0u; t < p.count; t++) {
    let tensor = tensors[t];
    total += reduce_sum(squares(tensor.x, tensor.y, lane), lane);
  }
  if (lane == 0u) {
${writeClip(false)}
    step_count[0] = number + 1u;
  }
  storageBarrier();
  let now = schedule[min(number, p.steps - 1u)];
  for (var t = 0u; t < p.count; t++) {
    let tensor = tensors[t];
    let start = tensor.x;
    let vectors = (tensor.y + 3u) / 4u;
    let decay = bitcast<f32>(tensor.z);
    let lr = now.x * bitcast<f32>(tensor.w);
${stepVectors(wg)}
  }`,
});
