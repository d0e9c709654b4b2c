import { type Kernel, kernel } from "./kernel.ts";

/**
 * WGSL of an AdamW step on `vectors` vec4s from number `start` on: by rate `lr`, decay `decay` and the
 * schedule's row `now`, as `clip` says. It also clears the gradients.
 */
export function stepVectors(wg: number): string {
  return `  for (var k = lane; k < vectors; k += ${wg}u) {
    let i = start + k;
    let gradient = clip[0] * g[i];
    g[i] = vec4f();
    if (clip[2] != 0.0) {
      let mean = p.beta1 * m[i] + p.rest1 * gradient;
      let square = p.beta2 * v[i] + p.rest2 * gradient * gradient;
      m[i] = mean;
      v[i] = square;
      let decayed = w[i] - lr * decay * w[i];
      w[i] = decayed - lr * (mean * now.y) / (sqrt(square * now.z) + p.epsilon);
    }
  }`;
}

/**
 * One AdamW step on blocks of many tensors (see `update_block.ts`), which also clears the gradients
 * for the next one:
 *
 * g' = clip·g;  m ← β1·m + (1−β1)·g';  v ← β2·v + (1−β2)·g'²
 * w ← w − lr·decay·w;  w ← w − lr · (m·c1) / (√(v·c2) + ε),  lr = scheduled rate · factor
 *
 * w, g, m, v: tensors side by side, of which the first vec4 is number `origin`. `count` blocks from
 * row `first` of the table on. schedule: [steps] vec4 of (lr, c1 = 1/(1−β1^t), c2 = 1/(1−β2^t),
 * spare), the row is step_count, or the last where that is past the end; that of c1 and c2 is earlier
 * by the steps that were skipped. clip: [4] as `clip_coefficient` leaves it; where it says that the
 * gradient was not finite, only the gradient changes. `rest1`, `rest2` are 1−β1, 1−β2.
 *
 * Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, Algorithm 2.
 */
export const adamwKernel: Kernel = kernel({
  name: "adamw",
  reads: { blocks: "vec4<u32>", schedule: "vec4<f32>", step_count: "u32", clip: "f32" },
  writes: { w: "vec4<f32>", g: "vec4<f32>", m: "vec4<f32>", v: "vec4<f32>" },
  params: {
    count: "u32",
    first: "u32",
    origin: "u32",
    steps: "u32",
    beta1: "f32",
    rest1: "f32",
    beta2: "f32",
    rest2: "f32",
    epsilon: "f32",
  },
  tune: { wg: 64 },
  workgroups: ({ count }) => count,
  body: ({ wg }) =>
    `  let block = blocks[p.first + group];
  let start = block.x - p.origin;
  let vectors = block.y;
  let decay = bitcast<f32>(block.z);
  let lr = schedule[min(step_count[0], p.steps - 1u)].x * bitcast<f32>(block.w);
  let now = schedule[min(step_count[0] - u32(clip[3]), p.steps - 1u)];
${stepVectors(wg)}`,
});
