import type { CheckInput } from "../../check_op.ts";
import type { OpCase } from "../../op_cases.ts";
import { attentionSoftmax } from "../../../lib/ops/attention_softmax.ts";
import { symbol } from "../../../lib/graph/shape.ts";

interface Flags {
  readonly bias?: boolean;
  readonly mask?: boolean;
  readonly causal?: boolean;
}

/** A mask that drops the keys from some place on, another place in each example. */
function padding(B: number, S: number): number[] {
  return Array.from(
    { length: B * S },
    (_, i) => i % S < Math.max(2, S - 3 * Math.floor(i / S)) ? 1 : 0,
  );
}

function reference(
  [x, ...rest]: readonly Float64Array[],
  [B, H, T, S]: readonly number[],
  { bias, mask, causal }: Flags,
  scale: number,
): Float64Array {
  const y = new Float64Array(x.length);
  for (let row = 0; row < B * H * T; row++) {
    const t = row % T;
    const values: number[] = [];
    for (let s = 0; s < S; s++) {
      const seen = (!mask || rest.at(-1)![Math.floor(row / (H * T)) * S + s] === 1) &&
        (!causal || s <= t + S - T);
      const added = bias ? rest[0][(row % (H * T)) * S + s] : 0;
      values.push(seen ? scale * x[row * S + s] + added : -Infinity);
    }
    const top = Math.max(...values);
    if (top === -Infinity) continue;
    const total = values.reduce((sum, value) => sum + Math.exp(value - top), 0);
    values.forEach((value, s) => y[row * S + s] = Math.exp(value - top) / total);
  }
  return y;
}

function softmaxCase(dims: [number, number, number, number], flags: Flags, scale: number): OpCase {
  const [B, H, T, S] = dims;
  const [b, t, s] = ["B", "T", "S"].map(symbol);
  const inputs: CheckInput[] = [{ shape: [b, H, t, s] }];
  if (flags.bias) inputs.push({ shape: [H, t, s] });
  if (flags.mask) inputs.push({ shape: [b, s], values: padding(B, S), constant: true });
  return {
    name: `attention_softmax [${dims}] ${Object.keys(flags)} · ${scale}`,
    sizes: { B, T, S },
    inputs,
    build: ([scores, ...rest]) =>
      attentionSoftmax(scores, {
        scale,
        bias: flags.bias ? rest[0] : undefined,
        mask: flags.mask ? rest.at(-1) : undefined,
        causal: flags.causal,
      }),
    reference: (values) => reference(values, dims, flags, scale),
  };
}

export const cases: readonly OpCase[] = [
  { ...softmaxCase([1, 1, 1, 1], {}, 1), flat: true },
  softmaxCase([2, 3, 5, 7], {}, 0.5),
  softmaxCase([2, 2, 3, 16], { bias: true }, 1),
  softmaxCase([2, 2, 3, 17], { bias: true }, 0.25),
  softmaxCase([3, 2, 4, 33], { mask: true }, 1),
  softmaxCase([2, 2, 9, 9], { causal: true }, 1),
  softmaxCase([1, 2, 3, 64], { causal: true }, 0.7),
  softmaxCase([3, 2, 11, 11], { mask: true, causal: true }, 0.35),
  softmaxCase([3, 2, 5, 65], { bias: true, mask: true }, 1),
  softmaxCase([2, 3, 12, 12], { bias: true, causal: true }, 1),
  softmaxCase([3, 1, 7, 130], { bias: true, mask: true, causal: true }, 0.5),
  // Beyond 256 keys a row has a workgroup of its own.
  softmaxCase([1, 2, 3, 257], {}, 1),
  softmaxCase([2, 1, 3, 300], { bias: true, mask: true, causal: true }, 0.5),
  // More queries than keys: the first rows see no key at all, and are 0 with gradient 0.
  softmaxCase([2, 2, 6, 4], { causal: true }, 1),
];
