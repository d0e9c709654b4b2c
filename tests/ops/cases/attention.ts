import type { CheckInput } from "../../check_op.ts";
import type { OpCase } from "../../op_cases.ts";
import { attention } from "../../../lib/ops/attention.ts";
import { symbol } from "../../../lib/graph/shape.ts";

interface Flags {
  readonly bias?: "constant" | "trained";
  readonly mask?: boolean;
  readonly causal?: boolean;
}

/** B, T, S, H, K, D. */
type Dims = readonly [number, number, number, number, number, number];

/** A mask that drops the keys from some place on, another place in each example; all of the third's. */
function padding(B: number, S: number): number[] {
  return Array.from({ length: B * S }, (_, i) => {
    const example = Math.floor(i / S);
    return example !== 2 && i % S < Math.max(2, S - 3 * example) ? 1 : 0;
  });
}

function reference(
  [q, k, v, ...rest]: readonly Float64Array[],
  [B, T, S, H, K, D]: Dims,
  { bias, mask, causal }: Flags,
  scale: number,
): Float64Array {
  const y = new Float64Array(B * T * H * D);
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) {
      for (let h = 0; h < H; h++) {
        const row = ((b * T + t) * H + h) * D;
        const key = (s: number) => ((b * S + s) * K + Math.floor(h * K / H)) * D;
        const seen = Array.from({ length: S }, (_, s) => s).filter((s) =>
          (!mask || rest.at(-1)![b * S + s] === 1) && (!causal || s <= t + S - T)
        );
        const scores = seen.map((s) => {
          let dot = 0;
          for (let d = 0; d < D; d++) dot += q[row + d] * k[key(s) + d];
          return scale * dot + (bias ? rest[0][(h * T + t) * S + s] : 0);
        });
        const top = Math.max(...scores);
        const total = scores.reduce((sum, score) => sum + Math.exp(score - top), 0);
        seen.forEach((s, i) => {
          const weight = Math.exp(scores[i] - top) / total;
          for (let d = 0; d < D; d++) y[row + d] += weight * v[key(s) + d];
        });
      }
    }
  }
  return y;
}

function attentionCase(dims: Dims, flags: Flags = {}): OpCase {
  const [B, T, S, H, K, D] = dims;
  const [b, t, s] = ["B", "T", "S"].map(symbol);
  const inputs: CheckInput[] = [
    { shape: [b, t, H, D] },
    { shape: [b, s, K, D] },
    { shape: [b, s, K, D] },
  ];
  if (flags.bias) inputs.push({ shape: [H, t, s], constant: flags.bias === "constant" });
  if (flags.mask) inputs.push({ shape: [b, s], values: padding(B, S), constant: true });
  const scale = 0.7 / Math.sqrt(D);
  return {
    name: `attention [${dims}] ${Object.entries(flags).join(" ")}`,
    sizes: { B, T, S },
    inputs,
    build: ([q, k, v, ...rest]) =>
      attention(q, k, v, {
        scale,
        bias: flags.bias ? rest[0] : undefined,
        mask: flags.mask ? rest.at(-1) : undefined,
        causal: flags.causal,
      }),
    reference: (values) => reference(values, dims, flags, scale),
  };
}

export const cases: readonly OpCase[] = [
  attentionCase([2, 3, 5, 2, 2, 8]),
  attentionCase([2, 5, 40, 4, 2, 8], { causal: true, mask: true }),
  // More queries than keys: the first rows see no key at all, and are 0 with gradient 0.
  attentionCase([2, 21, 4, 2, 1, 8], { causal: true }),
  attentionCase([2, 10, 7, 6, 2, 24], { bias: "constant" }),
  attentionCase([3, 40, 70, 2, 2, 8], { bias: "constant", mask: true }),
  attentionCase([1, 35, 35, 2, 2, 16], { bias: "constant", mask: true, causal: true }),
  attentionCase([1, 9, 5, 1, 1, 72]),
  // By way of all weights: a bias that trains, heads that do not load in eights or are too large.
  attentionCase([3, 9, 11, 4, 2, 8], { bias: "trained", mask: true, causal: true }),
  attentionCase([2, 6, 5, 4, 2, 6], { bias: "trained" }),
  attentionCase([1, 3, 4, 2, 2, 136], { causal: true }),
];
