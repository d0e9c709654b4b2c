/**
 * Gradients of fused attention, with the weights computed again from what the forward pass kept.
 *
 * With w the weights and g the output's gradient: dv[s] = Σt w[t,s]·g[t]; dw[t,s] = g[t]·v[s];
 * dx[t] = w[t]∘(dw[t] − g[t]·y[t]); dq[t] = scale·Σs dx[t,s]·k[s]; dk[s] = scale·Σt dx[t,s]·q[t].
 *
 * Source: Dao et al., FlashAttention, 2022, algorithm 4.
 *
 * @module
 */

import { allowed, keyRows, score, weightReads } from "./attention.ts";
import {
  ATTENTION_PARAMS,
  type AttentionBlock,
  type AttentionSignature,
  chainOf,
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
  ZERO,
} from "./attention_rows.ts";
import { type Kernel, kernel } from "./kernel.ts";

/** dq: [B, T, H, D]; y as the forward pass wrote it. Invocations own queries. */
export function attentionGradQueries(
  signature: AttentionSignature,
  block: AttentionBlock,
): Kernel {
  const { headSize } = signature;
  const { own } = block;
  const size = headSize / 4;
  const other = otherElement(block);
  const keys = keyRows(signature, block);
  return kernel({
    name: `attention_grad_queries_${block.subgroup ? "subgroup" : "shared"}`,
    ...(block.subgroup ? { subgroup: block.lanes } : {}),
    reads: {
      ...{ q: "vec4<f32>", k: other, v: other, y: "vec4<f32>", g: "vec4<f32>" },
      ...weightReads(signature),
    },
    writes: { dq: "vec4<f32>" },
    params: ATTENTION_PARAMS,
    tune: { wg: block.lanes },
    workgroups: ({ rows, queries }) => ownGroups(block, rows, queries),
    globals: () => sharedRows(signature, block, keys.vectors),
    body: () =>
      `${ownRows(block, "queries")}
${
        each(own, (i) =>
          `${["q", "y", "g"].map((name) => ownRow(signature, block, name, i)).join("\n")}
${dot(`mean_${i}`, headSize, (d) => `g_${i}_${d}`, (d) => `y_${i}_${d}`, ZERO)}
let kept_${i} = y[p.rows * ${size}u + row_${i}];
let top_${i} = kept_${i}.x + kept_${i}.z;
let inverse_${i} = kept_${i}.y + kept_${i}.w;
${each(headSize, (d) => `var sum_${i}_${d} = 0.0;`)}`)
      }
${
        overRows(
          signature,
          block,
          keys,
          1,
          `let item = base;
${otherRow(signature, block, keys, "k")}
${otherRow(signature, block, keys, "v")}
${
            each(own, (i) =>
              `${dot(`dot_${i}`, headSize, (d) => `q_${i}_${d}`, (d) => `k_${d}`)}
${dot(`dw_${i}`, headSize, (d) => `g_${i}_${d}`, (d) => `v_${d}`)}
let x_${i} = ${score(signature, `dot_${i}`, "head", `own_${i}`, "item")};
let allowed_${i} = ${["true", ...allowed(signature, `own_${i}`, "item")].join(" && ")};
let w_${i} = select(0.0, exp(x_${i} - top_${i}) * inverse_${i}, allowed_${i});
let dx_${i} = select(0.0, w_${i} * (dw_${i} - mean_${i}), allowed_${i});
${each(headSize, (d) => `sum_${i}_${d} = fma(dx_${i}, k_${d}, sum_${i}_${d});`)}`)
          }`,
        )
      }
${
        storeRows(signature, block, "queries", {
          to: "dq",
          sum: "sum",
          factor: () => "p.scale",
        })
      }`,
  });
}

/** Which gradients of keys and values are wanted; at least one. */
export interface KeyGradients {
  readonly keys: boolean;
  readonly values: boolean;
}

/**
 * dk, dv, or dk with dv behind it: [1 or 2, B, S, K, D]. Invocations own keys; where heads share
 * keys, one head's queries come behind another's.
 */
export function attentionGradKeys(
  signature: AttentionSignature,
  block: AttentionBlock,
  wanted: KeyGradients,
): Kernel {
  const { headSize, causal } = signature;
  const { own, subgroup } = block;
  const other = otherElement(block);
  const sums = [...(wanted.keys ? ["dk"] : []), ...(wanted.values ? ["dv"] : [])];
  const queries: OtherRows = {
    vectors: wanted.keys ? ["q", "g", "y"] : ["q", "g"],
    // No earlier query sees these keys.
    start: causal ? "(max(own_first + p.queries, p.keys) - p.keys)" : "0u",
    end: "p.queries",
    place: "(example * p.queries + item) * p.heads + query_head",
  };
  // What the forward pass kept of row `item`, and g·y; with subgroups each lane loads and sums a part.
  const at = `p.rows * ${headSize}u + (${queries.place}) * 4u`;
  const kept = subgroup
    ? `let kept = y[${at} + (lane & 3u)];
let top = subgroupBroadcast(kept, 0u) + subgroupBroadcast(kept, 2u);
let inverse = subgroupBroadcast(kept, 1u) + subgroupBroadcast(kept, 3u);`
    : `let kept = y[(${at}) / 4u];
let top = kept.x + kept.z;
let inverse = kept.y + kept.w;`;
  const mean = subgroup
    ? `let y_at = (${queries.place}) * ${headSize}u + lane;
let part = ${chainOf(headSize / 8, (c) => `g_own_${c}`, (c) => `y[y_at + ${8 * c}u]`, ZERO)};
let mean = ${Array.from({ length: 8 }, (_, l) => `subgroupBroadcast(part, ${l}u)`).join(" + ")};`
    : `${otherRow(signature, block, queries, "y")}
${dot("mean", headSize, (d) => `g_${d}`, (d) => `y_${d}`, ZERO)}`;
  const pair = (i: number) =>
    `${dot(`dot_${i}`, headSize, (d) => `q_${d}`, (d) => `k_${i}_${d}`)}
let x_${i} = ${score(signature, `dot_${i}`, "query_head", "item", `own_${i}`)};
let allowed_${i} = ${["true", ...allowed(signature, "item", `own_${i}`)].join(" && ")};
let w_${i} = select(0.0, exp(x_${i} - top) * inverse, allowed_${i});
${wanted.values ? each(headSize, (d) => `dv_${i}_${d} = fma(w_${i}, g_${d}, dv_${i}_${d});`) : ""}
${
      wanted.keys
        ? `${dot(`dw_${i}`, headSize, (d) => `g_${d}`, (d) => `v_${i}_${d}`)}
let dx_${i} = select(0.0, w_${i} * (dw_${i} - mean), allowed_${i});
${each(headSize, (d) => `dk_${i}_${d} = fma(dx_${i}, q_${d}, dk_${i}_${d});`)}`
        : ""
    }`;
  return kernel({
    name: `attention_grad_${sums.join("_")}_${subgroup ? "subgroup" : "shared"}`,
    ...(subgroup ? { subgroup: block.lanes } : {}),
    reads: {
      ...{ q: other, k: "vec4<f32>", v: "vec4<f32>", y: other, g: other },
      ...weightReads(signature),
    },
    writes: { dkv: "vec4<f32>" },
    params: ATTENTION_PARAMS,
    tune: { wg: block.lanes },
    workgroups: ({ key_rows, keys }) => ownGroups(block, key_rows, keys),
    globals: () => sharedRows(signature, block, queries.vectors),
    body: () =>
      `${ownRows(block, "keys")}
${
        each(own, (i) =>
          `${ownRow(signature, block, "k", i)}
${wanted.keys ? ownRow(signature, block, "v", i) : ""}
${sums.map((sum) => each(headSize, (d) => `var ${sum}_${i}_${d} = 0.0;`)).join("\n")}`)
      }
let groups = p.heads / p.key_heads;
for (var query_head = head * groups; query_head < (head + 1u) * groups; query_head++) {
${
        overRows(
          signature,
          block,
          queries,
          1,
          `let item = base;
${
            ["q", "g"].map((name) => otherRow(signature, block, queries, name)).join("\n")
          }
${kept}
${wanted.keys ? mean : ""}
${each(own, pair)}`,
        )
      }
}
${
        sums.map((sum, o) =>
          storeRows(signature, block, "keys", {
            to: "dkv",
            first: `${o}u * p.key_rows`,
            sum,
            factor: () =>
              sum === "dk" ? "p.scale" : "1.0",
          })
        ).join("\n")
      }`,
  });
}
