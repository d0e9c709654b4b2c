/**
 * Root-mean-square norm and its gradients (Zhang and Sennrich, 2019).
 *
 * With r = 1/√(mean(x²) + ε) of a row: y = r·x∘w, dx = r·(g∘w) − x·r³/C·Σ(g∘w∘x), dw = Σrows r·g∘x.
 * x, y, g, dx: [rows, width] f32; w: [width].
 *
 * @module
 */

import type { Kernel } from "./kernel.ts";
import { rowKernel } from "./rows.ts";
import { weightParts } from "./weight_parts.ts";

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

/** First stage of dw, z = r·x; r: [rows]. */
export const rmsWeightPartsKernel: Kernel = weightParts(
  "rms_weight_parts",
  "r",
  "total = fma(r[row] * g[i], x[i], total);",
);
