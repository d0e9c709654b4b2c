import { dropoutKernel } from "../../kernels/dropout.ts";
import { type Node, op, type OpFunction } from "../graph/node.ts";
import { elements, formatShape } from "../graph/shape.ts";

interface Dropout {
  readonly probability: number;
  readonly site: string;
}

/** Where a dropout's random numbers come from; see {@linkcode dropout}. */
export interface DropoutOptions extends Dropout {
  /** u32 [B]: index of each row's example in its split. */
  readonly examples: Node;
  /** u32 [1]: optimizer steps so far. */
  readonly step: Node;
  /** u32 [1]: the cell's seed. */
  readonly seed: Node;
}

const dropoutOp: OpFunction<Dropout> = op<Dropout>({
  name: "dropout",
  groupable: true,
  overwrites: [0],
  epilogue: "y",
  flops: 1, // the random bits are whole numbers
  shape: ([x, examples, step, seed]) => {
    const rank = x.shape.length;
    if (rank < 2 || rank > 4) {
      throw new TypeError(`Cannot drop out of ${formatShape(x.shape)}: it must have 2 to 4 axes`);
    }
    if ([examples, step, seed].some(({ dtype }) => dtype !== "u32")) {
      throw new TypeError(`Cannot drop out: examples, step and seed must be u32`);
    }
    return x.shape;
  },
  run: (y, { probability, site }, { shape }) => {
    const [x, examples, step_count, seed] = y.inputs;
    const dims = shape(x);
    const [d1, d2, d3] = [1, 1, ...dims.slice(1)].slice(-3);
    return [{
      kernel: dropoutKernel,
      bind: { x, examples, step_count, seed, y },
      params: {
        n: elements(dims),
        d1,
        d2,
        d3,
        site: siteHash(site),
        threshold: Math.min(Math.round(probability * 2 ** 32), 2 ** 32 - 1),
        scale: 1 / (1 - probability),
      },
    }];
  },
  // Linear in x: the gradient passes through the same mask, drawn again.
  backward: ({ inputs: [_, ...keys] }, g, __, attributes) => [
    dropoutOp([g, ...keys], attributes),
    null,
    null,
    null,
  ],
});

/** FNV-1a of a site's name, 32 bits (Fowler, Noll and Vo). */
function siteHash(site: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(site)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/**
 * Sets each element to 0 with some probability and divides the others by the probability to stay.
 *
 * What is dropped follows from seed, site, step, example and the element's place inside its example,
 * and from nothing else: it is the same at any place of any batch, however padded.
 *
 * @param x [B, ...] of 2 to 4 axes.
 * @param options Probability in [0, 1); a site name, unlike any other in the model; the keys.
 * @returns x's shape; x itself where the probability is 0.
 * @throws RangeError where the probability is not in [0, 1).
 */
export function dropout(
  x: Node,
  { probability, site, examples, step, seed }: DropoutOptions,
): Node {
  if (!(probability >= 0 && probability < 1)) {
    throw new RangeError(
      `Cannot drop out with probability ${probability}: it must be at least 0 and below 1`,
    );
  }
  if (probability === 0) return x;
  return dropoutOp([x, examples, step, seed], { probability, site });
}
