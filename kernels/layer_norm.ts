/**
 * Layer norm and its gradients (Ba, Kiros and Hinton, 2016).
 *
 * With μ the mean and r = 1/√(variance + ε) of a row, z = r·(x − μ): y = z∘w + b,
 * dx = r·(g∘w − mean(g∘w) − z·mean(g∘w∘z)), dw = Σrows g∘z, db = Σrows g.
 * x, y, g, dx: [rows, width] f32; w, b: [width].
 *
 * The variance is taken by the corrected two-pass algorithm (Chan, Golub and LeVeque, 1983): the
 * mean of what is left after the first mean corrects its rounding, which matters in rows that are
 * nearly constant.
 *
 * @module
 */

import type { Kernel } from "./kernel.ts";
import { rowKernel } from "./rows.ts";
import { weightParts } from "./weight_parts.ts";

type Each = (index: string, length: string) => string;

/** z of element c is `(x[base + c] - first - rest) * r`. */
const statistics = (each: Each) =>
  `  let base = row * p.width;
  let count = f32(p.width);
  var total = 0.0;
  ${each("c", "p.width")} { total += x[base + c]; }
  let first = reduce_sum(total, lane) / count;
  var left = 0.0;
  var squares = 0.0;
  ${each("c", "p.width")} {
    let d = x[base + c] - first;
    left += d;
    squares += d * d;
  }
  let rest = reduce_sum(left, lane) / count;
  let r = inverseSqrt(max(reduce_sum(squares, lane) / count - rest * rest, 0.0) + p.epsilon);
`;

const Z = "(x[base + c] - first - rest) * r";

const PARAMS = { rows: "u32", width: "u32", epsilon: "f32" } as const;

/** y = z∘w + b. */
export const layerNormKernel: Kernel = rowKernel({
  name: "layer_norm",
  reads: { x: "f32", w: "f32", b: "f32" },
  writes: { y: "f32" },
  params: PARAMS,
  reductions: ["sum"],
  body: (each) =>
    `${statistics(each)}  ${each("c", "p.width")} { y[base + c] = fma(${Z}, w[c], b[c]); }`,
});

/** dx = r·(g∘w − mean(g∘w) − z·mean(g∘w∘z)). */
export const layerNormGradKernel: Kernel = rowKernel({
  name: "layer_norm_grad",
  reads: { x: "f32", w: "f32", g: "f32" },
  writes: { dx: "f32" },
  params: PARAMS,
  reductions: ["sum"],
  body: (each) =>
    `${statistics(each)}  var plain = 0.0;
  var dot = 0.0;
  ${each("c", "p.width")} {
    let pull = g[base + c] * w[c];
    plain += pull;
    dot += pull * ${Z};
  }
  let shift = reduce_sum(plain, lane) / count;
  let slope = reduce_sum(dot, lane) / count;
  ${each("c", "p.width")} {
    dx[base + c] = r * (g[base + c] * w[c] - shift - ${Z} * slope);
  }`,
});

/** y[row] = (μ's first part, its rest, r): [rows, 3]. */
export const layerStatisticsKernel: Kernel = rowKernel({
  name: "layer_statistics",
  reads: { x: "f32" },
  writes: { y: "f32" },
  params: PARAMS,
  reductions: ["sum"],
  body: (each) =>
    `${statistics(each)}  if (leader) {
    y[row * 3u] = first;
    y[row * 3u + 1u] = rest;
    y[row * 3u + 2u] = r;
  }`,
});

/** First stage of dw; s: [rows, 3] as {@linkcode layerStatisticsKernel} leaves it. */
export const layerWeightPartsKernel: Kernel = weightParts(
  "layer_weight_parts",
  "s",
  "total = fma(g[i], (x[i] - s[row * 3u] - s[row * 3u + 1u]) * s[row * 3u + 2u], total);",
);
