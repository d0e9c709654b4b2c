/**
 * Fused attention: scores, softmax and weighted sum in one launch, nothing of [T, S] stored.
 *
 * @module
 */

import {
  ATTENTION_PARAMS,
  type AttentionBlock,
  type AttentionSignature,
  dot,
  each,
  otherElement,
  otherRow,
  type OtherRows,
  overRows,
  ownGroups,
  ownRow,
  ownRows,
  sharedRows,
  storeRows,
} from "./attention_rows.ts";
import { type Kernel, kernel } from "./kernel.ts";

const LOWEST = "-3.4028234e38";

/** Keys between two turns of the maximum; part of the order of sums. */
const BLOCK = 8;

/**
 * y[b,t,h] = Σs w[s]·v[b,s,h/groups], w the softmax over s of scale·q[b,t,h]·k[b,s,h/groups] +
 * bias[h,t,s], over the keys that are allowed: mask[b,s] ≠ 0, and s ≤ t + S − T where causal; 0 where
 * there is none. Online over blocks of keys.
 *
 * q: [B, T, H, D], k, v: [B, S, K, D], y: [B, T, H, D] and behind it four numbers for each row: what
 * the gradient needs of the softmax, the maximum m and 1/Σ exp(x − m), each with what its own storage
 * loses of it (0 in f32).
 *
 * Source: Dao et al., FlashAttention, 2022, algorithm 1.
 */
export function attentionKernel(signature: AttentionSignature, block: AttentionBlock): Kernel {
  const other = otherElement(block);
  return kernel({
    name: `attention_${block.subgroup ? "subgroup" : "shared"}`,
    ...(block.subgroup ? { subgroup: block.lanes } : {}),
    reads: { q: "vec4<f32>", k: other, v: other, ...weightReads(signature) },
    writes: { y: "vec4<f32>" },
    params: ATTENTION_PARAMS,
    tune: { wg: block.lanes },
    workgroups: ({ rows, queries }) => ownGroups(block, rows, queries),
    globals: () => sharedRows(signature, block, ["k", "v"]),
    body: () => body(signature, block),
  });
}

/** Bindings of what goes into weights besides queries and keys. */
export function weightReads({ bias, mask }: AttentionSignature): Kernel["reads"] {
  return { ...(bias ? { bias: "f32" } : {}), ...(mask ? { mask: "f32" } : {}) };
}

/** Keys as the rows that queries meet. */
export function keyRows({ causal }: AttentionSignature, { own, lanes }: AttentionBlock): OtherRows {
  return {
    vectors: ["k", "v"],
    start: "0u",
    // No query of these sees a later key.
    end: causal
      ? `(max(min(own_first + ${own * lanes}u, p.queries) + p.keys, p.queries) - p.queries)`
      : "p.keys",
    place: "(example * p.keys + item) * p.key_heads + head / (p.heads / p.key_heads)",
  };
}

/** Whether query `query` may see key `key`, besides being there. */
export function allowed(
  { mask, causal }: AttentionSignature,
  query: string,
  key: string,
): string[] {
  return [
    ...(mask ? [`mask[example * p.keys + ${key}] != 0.0`] : []),
    ...(causal ? [`${key} + p.queries <= ${query} + p.keys`] : []),
  ];
}

/** A score as it goes into the softmax, from the product `x` of a query and a key. */
export function score(
  { bias }: AttentionSignature,
  x: string,
  ...[head, query, key]: readonly [head: string, query: string, key: string]
): string {
  const added = bias ? ` + bias[(${head} * p.queries + ${query}) * p.keys + ${key}]` : "";
  return `p.scale * ${x}${added}`;
}

function body(signature: AttentionSignature, block: AttentionBlock): string {
  const { headSize } = signature;
  const { own, subgroup } = block;
  const keys = keyRows(signature, block);
  // A loop is soon compiled; on GPUs arrays under a constant index are registers.
  const eachKey = (lines: (j: string) => string) =>
    subgroup
      ? `for (var j = 0u; j < ${BLOCK}u; j++) {\n${lines("j")}\n}`
      : each(BLOCK, (j) => `{\n${lines(`${j}u`)}\n}`);
  const block8 = `${each(own, (i) => `var x_${i}: array<f32, ${BLOCK}>; var next_${i} = top_${i};`)}
${
    eachKey((j) =>
      `let item = min(base + ${j}, p.keys - 1u);
${otherRow(signature, block, keys, "k", j)}
${
        each(own, (i) =>
          `${dot(`dot_${i}`, headSize, (d) => `q_${i}_${d}`, (d) => `k_${d}`)}
let score_${i} = select(
  ${LOWEST},
  ${score(signature, `dot_${i}`, "head", `own_${i}`, "item")},
  ${[`base + ${j} < p.keys`, ...allowed(signature, `own_${i}`, "item")].join(" && ")},
);
x_${i}[${j}] = score_${i};
next_${i} = max(next_${i}, score_${i});`)
      }`
    )
  }
${
    each(own, (i) =>
      `let turn_${i} = select(exp(top_${i} - next_${i}), 1.0, top_${i} == next_${i});
top_${i} = next_${i};
total_${i} *= turn_${i};
${each(headSize, (d) => `sum_${i}_${d} *= turn_${i};`)}`)
  }
${
    eachKey((j) =>
      `let item = min(base + ${j}, p.keys - 1u);
${otherRow(signature, block, keys, "v", j)}
${
        each(own, (i) =>
          `let e_${i} = select(exp(x_${i}[${j}] - top_${i}), 0.0, x_${i}[${j}] == ${LOWEST});
total_${i} += e_${i};
${
            each(headSize, (d) => `sum_${i}_${d} = fma(e_${i}, v_${d}, sum_${i}_${d});`)
          }`)
      }`
    )
  }`;
  const size = headSize / 4;
  return `${ownRows(block, "queries")}
${
    each(own, (i) =>
      `${ownRow(signature, block, "q", i)}
var top_${i} = ${LOWEST};
var total_${i} = 0.0;
${each(headSize, (d) => `var sum_${i}_${d} = 0.0;`)}`)
  }
${overRows(signature, block, keys, BLOCK, block8)}
// A sum that is NaN must stay so: only a row that allows no key is 0.
${each(own, (i) => `let inverse_${i} = select(1.0 / total_${i}, 0.0, total_${i} == 0.0);`)}
${storeRows(signature, block, "queries", { to: "y", sum: "sum", factor: (i) => `inverse_${i}` })}
for (var i = 0u; i < ${own}u; i++) {
${
    each(own, (i) =>
      i === 0
        ? `var row = row_0; var top = top_0; var inverse = inverse_0;`
        : `row = select(row, row_${i}, i == ${i}u);
top = select(top, top_${i}, i == ${i}u);
inverse = select(inverse, inverse_${i}, i == ${i}u);`)
  }
if (own_first + i * ${block.lanes}u + lane < p.queries) {
let at = p.rows * ${size}u + row;
y[at] = vec4f(top, inverse, 0.0, 0.0);
let kept = y[at];
y[at] = vec4f(kept.x, kept.y, top - kept.x, inverse - kept.y);
}
}`;
}
