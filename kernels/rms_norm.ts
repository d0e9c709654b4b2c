/**
 * Root-mean-square norm and its gradients (Zhang and Sennrich, 2019).
 *
 * With r = 1/√(mean(x²) + ε) of a row: y = r·x∘w, dx = r·(g∘w) − x·r³/C·Σ(g∘w∘x), dw = Σrows r·g∘x.
 * x, y, g, dx: [rows, width] f32; w: [width].
 *
 * @module
 */

import { type Kernel, kernel } from "./kernel.ts";
import { rowKernel } from "./rows.ts";

type Each = (index: string, length: string) => string;

const factor = (each: Each) =>
  `  let base = row * p.width;
  var squares = 0.0;
  ${each("c", "p.width")} { squares += x[base + c] * x[base + c]; }
  let r = inverseSqrt(reduce_sum(squares, lane) / f32(p.width) + p.epsilon);
`;

const PARAMS = { rows: "u32", width: "u32", epsilon: "f32" } as const;

/** y = r·x∘w. */
export const rmsNormKernel: Kernel = rowKernel({
  name: "rms_norm",
  reads: { x: "f32", w: "f32" },
  writes: { y: "f32" },
  params: PARAMS,
  reductions: ["sum"],
  body: (each) =>
    `${factor(each)}  ${each("c", "p.width")} { y[base + c] = x[base + c] * r * w[c]; }`,
});

/** y = r, [rows]. */
export const rmsFactorKernel: Kernel = rowKernel({
  name: "rms_factor",
  reads: { x: "f32" },
  writes: { y: "f32" },
  params: PARAMS,
  reductions: ["sum"],
  body: (each) => `${factor(each)}  if (leader) { y[row] = r; }`,
});

/** dx = r·(g∘w) − x·r³/C·Σ(g∘w∘x). */
export const rmsNormGradKernel: Kernel = rowKernel({
  name: "rms_norm_grad",
  reads: { x: "f32", w: "f32", g: "f32" },
  writes: { dx: "f32" },
  params: PARAMS,
  reductions: ["sum"],
  body: (each) =>
    `${factor(each)}  var dot = 0.0;
  ${each("c", "p.width")} { dot += g[base + c] * w[c] * x[base + c]; }
  let pull = reduce_sum(dot, lane) * r * r / f32(p.width);
  ${each("c", "p.width")} {
    dx[base + c] = r * (g[base + c] * w[c] - x[base + c] * pull);
  }`,
});

/**
 * First stage of dw: part[s, c] = Σ r[row]·g[row, c]·x[row, c] over the rows of segment s, of
 * `parts` segments as equal as can be. One invocation per output, so that neighbours read neighbours.
 */
export const rmsWeightPartsKernel: Kernel = kernel({
  name: "rms_weight_parts",
  reads: { x: "f32", r: "f32", g: "f32" },
  writes: { part: "f32" },
  params: { rows: "u32", width: "u32", parts: "u32" },
  tune: { wg: 64 },
  workgroups: ({ width, parts }, { wg }) => parts * Math.ceil(width / wg),
  body: ({ wg }) =>
    `  let columns = (p.width + ${wg - 1}u) / ${wg}u;
  let segment = group / columns;
  let c = (group % columns) * ${wg}u + lane;
  if (c >= p.width) { return; }
  let length = (p.rows + p.parts - 1u) / p.parts;
  let last = min((segment + 1u) * length, p.rows);
  var total = 0.0;
  for (var row = segment * length; row < last; row++) {
    total = fma(r[row] * g[row * p.width + c], x[row * p.width + c], total);
  }
  part[segment * p.width + c] = total;`,
});
