import type { OpCase } from "../../op_cases.ts";
import { selectToken } from "../../../lib/ops/select_token.ts";
import { symbol } from "../../../lib/graph/shape.ts";

function tokens(B: number, T: number, C: number): OpCase {
  return {
    name: `select token of [${B},${T},${C}]`,
    sizes: { B, T },
    inputs: [
      { shape: [symbol("B"), symbol("T"), C] },
      {
        shape: [symbol("B")],
        dtype: "u32",
        values: Array.from({ length: B }, (_, b) => (T - 1 + 3 * b) % T),
      },
    ],
    build: ([x, index]) => selectToken(x, index),
    reference: ([x, index]) =>
      Array.from({ length: B * C }, (_, e) => {
        const b = Math.floor(e / C);
        return x[(b * T + index[b]) * C + e % C];
      }),
    atol: 0,
    rtol: 0,
  };
}

export const cases: readonly OpCase[] = [tokens(1, 1, 1), tokens(3, 5, 7), tokens(4, 9, 33)];
