import { type Kernel, kernel } from "./kernel.ts";
import { reduction } from "./reduce.ts";

/** Label of a row that does not count. */
export const IGNORED_LABEL = -100;

const LOWEST = "-0x1.fffffep+127f";

/** WGSL that leaves a row's maximum in `largest` and Σ exp(x − largest) in `total`. */
function logSumExp(wg: number): string {
  return `  let base = group * p.classes;
  var largest = ${LOWEST};
  for (var c = lane; c < p.classes; c += ${wg}u) { largest = max(largest, x[base + c]); }
  largest = reduce_max(largest, lane);
  var total = 0.0;
  for (var c = lane; c < p.classes; c += ${wg}u) { total += exp(x[base + c] - largest); }
  total = reduce_sum(total, lane);`;
}

const globals = ({ wg }: Readonly<Record<string, number>>) =>
  `${reduction("max", wg)}\n${reduction("sum", wg)}`;

/**
 * Cross-entropy: y[r] = log Σc exp(x[r,c]) − x[r, label], with the row's maximum subtracted first;
 * 0 where the label is −100. x: [rows, classes] f32, labels: [rows] i32. One workgroup per row.
 *
 * Source: Goodfellow et al., Deep Learning, §4.1 and §6.2.2.3.
 */
export const crossEntropyKernel: Kernel = kernel({
  name: "cross_entropy",
  reads: { x: "f32", labels: "i32" },
  writes: { y: "f32" },
  params: { rows: "u32", classes: "u32" },
  tune: { wg: 64 },
  workgroups: ({ rows }) => rows,
  globals,
  body: ({ wg }) =>
    `  let label = labels[group];
  if (label == ${IGNORED_LABEL}) {
    if (lane == 0u) { y[group] = 0.0; }
    return;
  }
${logSumExp(wg)}
  if (lane == 0u) { y[group] = log(total) + (largest - x[base + u32(label)]); }`,
});

/**
 * Its gradient: dx[r,c] = (softmax(x[r])[c] − [c = label]) · g[r], 0 where the label is −100.
 * Maximum and sum are computed again, so the forward pass keeps nothing.
 */
export const crossEntropyGradKernel: Kernel = kernel({
  name: "cross_entropy_grad",
  reads: { x: "f32", labels: "i32", g: "f32" },
  writes: { dx: "f32" },
  params: { rows: "u32", classes: "u32" },
  tune: { wg: 64 },
  workgroups: ({ rows }) => rows,
  globals,
  body: ({ wg }) =>
    `  let label = labels[group];
  if (label == ${IGNORED_LABEL}) {
    for (var c = lane; c < p.classes; c += ${wg}u) { dx[group * p.classes + c] = 0.0; }
    return;
  }
${logSumExp(wg)}
  let weight = g[group] / total;
  for (var c = lane; c < p.classes; c += ${wg}u) {
    let spread = exp(x[base + c] - largest) * weight;
    dx[base + c] = select(spread, spread - g[group], c == u32(label));
  }`,
});
