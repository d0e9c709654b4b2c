import { type Kernel, kernel } from "./kernel.ts";

const make = (width: 1 | 4): Kernel => {
  const element = width === 4 ? "vec4<f32>" : "f32";
  return kernel({
    name: "adamw",
    reads: { schedule: "vec4<f32>", step_count: "u32", clip: "f32" },
    writes: { w: element, g: element, m: element, v: element },
    params: {
      n: "u32",
      steps: "u32",
      beta1: "f32",
      rest1: "f32",
      beta2: "f32",
      rest2: "f32",
      epsilon: "f32",
      decay: "f32",
      rate: "f32",
    },
    tune: { wg: 64 },
    workgroups: ({ n }, { wg }) => Math.ceil(n / (wg * width)),
    body: ({ wg }) =>
      `  let i = group * ${wg}u + lane;
  if (i >= p.n / ${width}u) { return; }
  let gradient = clip[0] * g[i];
  g[i] = ${element}();
  if (clip[2] == 0.0) { return; }
  let lr = schedule[min(step_count[0], p.steps - 1u)].x * p.rate;
  let now = schedule[min(step_count[0] - u32(clip[3]), p.steps - 1u)];
  let mean = p.beta1 * m[i] + p.rest1 * gradient;
  let square = p.beta2 * v[i] + p.rest2 * gradient * gradient;
  m[i] = mean;
  v[i] = square;
  let decayed = w[i] - lr * p.decay * w[i];
  w[i] = decayed - lr * (mean * now.y) / (sqrt(square * now.z) + p.epsilon);`,
  });
};

const [single, four] = [make(1), make(4)];

/**
 * One AdamW step on n elements, which also clears the gradient for the next one:
 *
 * g' = clip·g;  m ← β1·m + (1−β1)·g';  v ← β2·v + (1−β2)·g'²
 * w ← w − lr·decay·w;  w ← w − lr · (m·c1) / (√(v·c2) + ε)
 *
 * schedule: [steps] vec4 of (lr, c1 = 1/(1−β1^t), c2 = 1/(1−β2^t), spare), the row is step_count,
 * or the last where that is past the end; that of c1 and c2 is earlier by the steps that were
 * skipped. clip: [4] as `clip_coefficient` leaves it; where it says that the gradient was not finite,
 * only the gradient changes. `rest1`, `rest2` are 1−β1, 1−β2.
 *
 * Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, Algorithm 2.
 */
export function adamwKernel(n: number): Kernel {
  return n % 4 === 0 ? four : single;
}
