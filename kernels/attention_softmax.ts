/**
 * Softmax of attention scores over the keys, and its gradient.
 *
 * @module
 */

import type { Kernel } from "./kernel.ts";
import { rowKernel } from "./rows.ts";

/** What goes into the softmax besides the scores. */
export interface AttentionSoftmaxFlags {
  readonly bias: boolean;
  readonly mask: boolean;
  readonly causal: boolean;
}

const cache = new Map<string, Kernel>();

/**
 * p[b,h,t,s] = softmax over s of scale·x[b,h,t,s] + bias[h,t,s], over the keys that are allowed:
 * mask[b,s] ≠ 0, and s ≤ t + S − T where causal. 0 at the others, and in rows that allow none.
 *
 * x, p: [B, H, T, S]; rows: B·H·T. Stable form: exp(v − max) / Σ exp(v − max).
 */
export function attentionSoftmaxKernel({ bias, mask, causal }: AttentionSoftmaxFlags): Kernel {
  const key = `${bias} ${mask} ${causal}`;
  const cached = cache.get(key);
  if (cached !== undefined) return cached;
  const value = `p.scale * x[base + s]${bias ? " + bias[bias_base + s]" : ""}`;
  const conditions = [
    ...(mask ? ["mask[mask_base + s] != 0.0"] : []),
    ...(causal ? ["s + p.queries <= query + p.keys"] : []),
  ];
  const allowed = (then: string) =>
    conditions.length === 0 ? then : `if (${conditions.join(" && ")}) { ${then} }`;
  const result = rowKernel({
    name: "attention_softmax",
    reads: { x: "f32", ...(bias ? { bias: "f32" } : {}), ...(mask ? { mask: "f32" } : {}) },
    writes: { y: "f32" },
    params: { rows: "u32", heads: "u32", queries: "u32", keys: "u32", scale: "f32" },
    reductions: ["max", "sum"],
    body: (each) =>
      `  let base = row * p.keys;
  let query = row % p.queries;
  let bias_base = (row % (p.heads * p.queries)) * p.keys;
  let mask_base = (row / (p.heads * p.queries)) * p.keys;
  var top = -3.4028234e38;
  ${each("s", "p.keys")} {
    ${allowed(`top = max(top, ${value});`)}
  }
  top = reduce_max(top, lane);
  var total = 0.0;
  ${each("s", "p.keys")} {
    var e = 0.0;
    ${allowed(`e = exp(${value} - top);`)}
    total += e;
    y[base + s] = e;
  }
  total = reduce_sum(total, lane);
  // A sum that is NaN must stay so: only a row that allows no key is 0.
  let inverse = select(1.0 / total, 0.0, total == 0.0);
  ${each("s", "p.keys")} { y[base + s] = y[base + s] * inverse; }`,
  });
  cache.set(key, result);
  return result;
}

/** dx = scale·p∘(g − Σs p∘g); p, g, dx: [rows, keys]. Zero where p is. */
export const attentionSoftmaxGradKernel: Kernel = rowKernel({
  name: "attention_softmax_grad",
  reads: { y: "f32", g: "f32" },
  writes: { dx: "f32" },
  params: { rows: "u32", keys: "u32", scale: "f32" },
  reductions: ["sum"],
  body: (each) =>
    `  let base = row * p.keys;
  var dot = 0.0;
  ${each("s", "p.keys")} { dot += y[base + s] * g[base + s]; }
  dot = reduce_sum(dot, lane);
  ${each("s", "p.keys")} {
    dx[base + s] = p.scale * y[base + s] * (g[base + s] - dot);
  }`,
});
