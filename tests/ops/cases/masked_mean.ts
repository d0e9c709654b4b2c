import type { OpCase } from "../../op_cases.ts";
import { maskedMean } from "../../../lib/ops/masked_mean.ts";
import { symbol } from "../../../lib/graph/shape.ts";

/** Example b counts its first `lengths[b]` tokens; 0 is a row that only fills the batch. */
function mean(lengths: readonly number[], T: number, C: number): OpCase {
  const B = lengths.length;
  const mask = Array.from({ length: B * T }, (_, e) => e % T < lengths[Math.floor(e / T)] ? 1 : 0);
  return {
    name: `masked mean of [${B},${T},${C}]`,
    sizes: { B, T },
    inputs: [
      { shape: [symbol("B"), symbol("T"), C] },
      { shape: [symbol("B"), symbol("T")], values: mask, constant: true },
    ],
    build: ([x, mask]) => maskedMean(x, mask),
    reference: ([x, mask]) =>
      Array.from({ length: B * C }, (_, e) => {
        const [b, c] = [Math.floor(e / C), e % C];
        let [total, count] = [0, 0];
        for (let t = 0; t < T; t++) {
          total += mask[b * T + t] * x[(b * T + t) * C + c];
          count += mask[b * T + t];
        }
        return count === 0 ? 0 : total / count;
      }),
  };
}

export const cases: readonly OpCase[] = [mean([1], 1, 1), mean([5, 2, 0, 1], 5, 66)];
