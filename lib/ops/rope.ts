import { ropeKernel } from "../../kernels/rope.ts";
import { constant } from "../graph/leaves.ts";
import { type Node, op, type OpFunction } from "../graph/node.ts";
import type { OnnxValue } from "../graph/onnx.ts";
import { type Dim, formatShape } from "../graph/shape.ts";

/** Stretching of rotary frequencies for long contexts, as Llama 3 does it. */
export interface RotaryScaling {
  /** What the lowest frequencies are divided by. */
  readonly factor: number;
  /** Rotations over the original length below which a frequency is divided by the whole factor. */
  readonly lowFrequencyFactor: number;
  /** Rotations over the original length above which a frequency is left alone. */
  readonly highFrequencyFactor: number;
  /** Length of context that the base was first trained with, tokens. */
  readonly originalLength: number;
}

/** What rotary frequencies follow from. */
export interface RotaryConfig {
  /** Size of a head; even. */
  readonly headSize: number;
  /** Base of the geometric series of frequencies. */
  readonly theta: number;
  readonly scaling?: RotaryScaling;
}

/**
 * Angles per token of rotary position embedding: theta^(−2i/D) (Su et al., 2021), scaled as in
 * Llama 3 where the configuration says so (Grattafiori et al., 2024).
 *
 * @returns [D/2], radians per token.
 * @throws RangeError where the size of a head is odd, or theta or a factor makes no sense.
 */
export function rotaryFrequencies({ headSize, theta, scaling }: RotaryConfig): Float64Array {
  if (!Number.isInteger(headSize) || headSize < 2 || headSize % 2 !== 0 || !(theta > 0)) {
    throw new RangeError(
      `Cannot rotate heads of size ${headSize} with theta ${theta}: the size must be even, theta above 0`,
    );
  }
  const plain = Float64Array.from(
    { length: headSize / 2 },
    (_, i) => theta ** (-2 * i / headSize),
  );
  if (scaling === undefined) return plain;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalLength } = scaling;
  if (!(factor > 0) || !(low > 0) || !(high > low) || !(originalLength > 0)) {
    throw new RangeError(
      `Cannot scale rotary frequencies by factor ${factor} between ${low} and ${high} rotations in ${originalLength} tokens: all must be above 0, and the second number of rotations above the first`,
    );
  }
  return plain.map((frequency) => {
    const rotations = originalLength * frequency / (2 * Math.PI);
    const kept = Math.min(Math.max((rotations - low) / (high - low), 0), 1);
    return (1 - kept) * frequency / factor + kept * frequency;
  });
}

const ropeOp: OpFunction<{ turn: 1 | -1 }> = op<{ turn: 1 | -1 }>({
  name: "rope",
  flops: 3, // of each pair: four products, two sums
  shape: ([x]) => x.shape,
  run: (y, { turn }, { shape }) => {
    const [x, cosine, sine] = y.inputs;
    const [batch, tokens, heads, size] = shape(x);
    const half = size / 2;
    return [{
      kernel: ropeKernel,
      bind: { x, cosine, sine, y },
      params: { pairs: batch * tokens * heads * half, tokens, heads, half, turn },
    }];
  },
  // A rotation's transpose is the rotation back.
  backward: ({ inputs: [_, cosine, sine] }, g, __, { turn }) => [
    ropeOp([g, cosine, sine], { turn: turn === 1 ? -1 : 1 }),
    null,
    null,
  ],
  onnx: (graph, [x, cosine, sine], { shape }, { turn }) => {
    const size = shape[3] as number;
    const part = (start: number) =>
      graph.node("Slice", [
        x,
        graph.ints([start]),
        graph.ints([start + size / 2]),
        graph.ints([3]),
      ]);
    const [first, second] = [part(0), part(size / 2)];
    const perHead = (table: OnnxValue) => graph.node("Unsqueeze", [table, graph.ints([1])]);
    const [c, s] = [perHead(cosine), perHead(sine)]; // [T, 1, D/2]
    const by = (half: OnnxValue, table: OnnxValue) => graph.node("Mul", [half, table]);
    const [minus, plus] = turn === 1 ? ["Sub", "Add"] : ["Add", "Sub"];
    return graph.node("Concat", [
      graph.node(minus, [by(first, c), by(second, s)]),
      graph.node(plus, [by(second, c), by(first, s)]),
    ], { axis: 3 });
  },
});

/** Tables of cosines and sines, one pair for all layers that rotate alike. */
const tables = new WeakMap<Float64Array, Map<string, readonly [Node, Node]>>();

function rotaryTables(
  frequencies: Float64Array,
  tokens: Dim,
  offset: number,
): readonly [Node, Node] {
  let known = tables.get(frequencies);
  if (known === undefined) tables.set(frequencies, known = new Map());
  const key = `${formatShape([tokens])} ${offset}`;
  let pair = known.get(key);
  if (pair === undefined) {
    const half = frequencies.length;
    const table = (f: (angle: number) => number, operator: string) =>
      constant(
        [tokens, half],
        "f32",
        ([rows]) =>
          Float32Array.from(
            { length: rows * half },
            (_, i) => f((offset + Math.floor(i / half)) * frequencies[i % half]),
          ),
        (graph) => {
          // Whole turns go while the angle is a double: an f32 would lose digits far from 0.
          const places = graph.cast(graph.range(offset, tokens), "double");
          const angles = graph.node("Mul", [
            graph.node("Unsqueeze", [places, graph.ints([1])]),
            graph.doubles([...frequencies]),
          ]);
          const rest = graph.node("Mod", [angles, graph.doubles(2 * Math.PI)], { fmod: 1 });
          return graph.node(operator, [graph.cast(rest, "float")]);
        },
      );
    known.set(key, pair = [table(Math.cos, "Cos"), table(Math.sin, "Sin")]);
  }
  return pair;
}

/**
 * Rotary position embedding: rotates each pair (element i, element i + D/2) of every head by
 * (t + offset)·frequencies[i].
 *
 * @param x [B, T, H, D].
 * @param frequencies [D/2], radians per token; not changed afterwards.
 * @param offset Position of the first token.
 * @returns [B, T, H, D].
 * @throws TypeError where x has other axes, or D is not twice the number of frequencies.
 */
export function rope(x: Node, frequencies: Float64Array, offset = 0): Node {
  const [, tokens, , size] = x.shape;
  if (x.shape.length !== 4 || size !== 2 * frequencies.length) {
    throw new TypeError(
      `Cannot rotate ${
        formatShape(x.shape)
      } by ${frequencies.length} frequencies: it must be [B, T, H, D] with one for each two of D`,
    );
  }
  return ropeOp([x, ...rotaryTables(frequencies, tokens, offset)], { turn: 1 });
}
