import { type Kernel, kernel } from "./kernel.ts";
import { reduction } from "./reduce.ts";

/** Label of a row that does not count. */
export const IGNORED_LABEL = -100;

const LOWEST = "-0x1.fffffep+127f";

/** WGSL that leaves a row's maximum in `largest` and Σ exp(x − largest) in `total`. */
function logSumExp(wg: number, width: number): string {
  const over = `for (var c = lane; c < p.classes / ${width}u; c += ${wg}u)`;
  return width === 1
    ? `  let base = group * p.classes;
  var largest = ${LOWEST};
  ${over} { largest = max(largest, x[base + c]); }
  largest = reduce_max(largest, lane);
  var total = 0.0;
  ${over} { total += exp(x[base + c] - largest); }
  total = reduce_sum(total, lane);`
    : `  let base = group * (p.classes / 4u);
  var most = vec4f(${LOWEST});
  ${over} { most = max(most, x[base + c]); }
  let largest = reduce_max(max(max(most.x, most.y), max(most.z, most.w)), lane);
  var sums = vec4f();
  ${over} { sums += exp(x[base + c] - largest); }
  let total = reduce_sum((sums.x + sums.y) + (sums.z + sums.w), lane);`;
}

/** Four classes at a time where their number allows it; which one, and so the order of sums, follows from it alone. */
const widthOf = (classes: number) => classes % 4 === 0 ? 4 : 1;
const elementOf = (width: number) => width === 4 ? "vec4<f32>" : "f32";

const globals = ({ wg }: Readonly<Record<string, number>>) =>
  `${reduction("max", wg)}\n${reduction("sum", wg)}`;

const forward = (width: number): Kernel =>
  kernel({
    name: "cross_entropy",
    reads: { x: elementOf(width), labels: "i32" },
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
${logSumExp(wg, width)}
  let c = u32(label);
  if (lane == 0u) {
    y[group] = log(total) + (largest - x[base + c / ${width}u]${width === 4 ? "[c % 4u]" : ""});
  }`,
  });

const gradient = (width: number): Kernel =>
  kernel({
    name: "cross_entropy_grad",
    reads: { x: elementOf(width), labels: "i32", g: "f32" },
    writes: { dx: elementOf(width) },
    params: { rows: "u32", classes: "u32", g_r: "u32" },
    tune: { wg: 64 },
    workgroups: ({ rows }) => rows,
    globals,
    body: ({ wg }) => {
      const over = `for (var c = lane; c < p.classes / ${width}u; c += ${wg}u)`;
      const at = width === 4 ? "vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u)" : "c";
      const chosen = width === 4 ? "vec4u(u32(label))" : "u32(label)";
      return `  let label = labels[group];
  if (label == ${IGNORED_LABEL}) {
    ${over} { dx[group * (p.classes / ${width}u) + c] = ${elementOf(width)}(); }
    return;
  }
${logSumExp(wg, width)}
  let own = g[group * p.g_r];
  let weight = own / total;
  ${over} {
    let spread = exp(x[base + c] - largest) * weight;
    dx[base + c] = select(spread, spread - own, ${at} == ${chosen});
  }`;
    },
  });

const forwards = { 1: forward(1), 4: forward(4) };
const gradients = { 1: gradient(1), 4: gradient(4) };

/**
 * Cross-entropy: y[r] = log Σc exp(x[r,c]) − x[r, label], with the row's maximum subtracted first;
 * 0 where the label is −100. x: [rows, classes] f32, labels: [rows] i32. One workgroup per row.
 *
 * A vocabulary cut into shards would merge their (maximum, sum) pairs in the same way.
 *
 * Source: Goodfellow et al., Deep Learning, §4.1 and §6.2.2.3.
 */
export function crossEntropyKernel(classes: number): Kernel {
  return forwards[widthOf(classes)];
}

/**
 * Its gradient: dx[r,c] = (softmax(x[r])[c] − [c = label]) · g[r·g_r], 0 where the label is −100.
 * g: [rows] f32, `g_r` = 1; or one number for all rows, `g_r` = 0. Maximum and sum are computed again, so the forward pass keeps nothing.
 */
export function crossEntropyGradKernel(classes: number): Kernel {
  return gradients[widthOf(classes)];
}
