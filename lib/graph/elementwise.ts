/**
 * Launches of elementwise functions: which input is read where, from the bound shapes.
 *
 * @module
 */

import {
  type Access,
  type Elementwise,
  elementwise as elementwiseKernel,
  OPERANDS,
} from "../../kernels/elementwise.ts";
import type { Dispatch, Node, ShapeOf } from "./node.ts";
import { elements, sameShape } from "./shape.ts";

/** How an input is read at the output's index, and the parameters of that. */
export interface Reading {
  readonly access: Access;
  readonly params: Readonly<Record<string, number>>;
  /** Whether four neighbouring outputs read four neighbours of it, or one and the same value. */
  readonly byFour: boolean;
}

/** A step of an index: ((i / div) % mod) * stride. */
interface Term {
  readonly div: number;
  readonly mod: number;
  readonly stride: number;
}

/**
 * Index terms of an input inside the output's flat index: neighbouring axes that the input has
 * (or lacks) together are one term.
 */
function indexTerms(shape: readonly number[], out: readonly number[]): Term[] {
  const padded = [...new Array(out.length - shape.length).fill(1), ...shape];
  const terms: Term[] = [];
  let div = 1;
  let stride = 1;
  for (let axis = out.length - 1; axis >= 0; axis--) {
    const present = padded[axis] === out[axis];
    if (present && out[axis] > 1) {
      const last = terms[terms.length - 1];
      if (last !== undefined && last.div * last.mod === div) {
        terms[terms.length - 1] = { ...last, mod: last.mod * out[axis] };
      } else terms.push({ div, mod: out[axis], stride });
      stride *= out[axis];
    }
    div *= out[axis];
  }
  return terms;
}

function readsByFour(terms: readonly Term[]): boolean {
  const [first] = terms;
  if (first === undefined) return true;
  return first.div === 1 ? first.mod % 4 === 0 : terms.every(({ div }) => div % 4 === 0);
}

/** How operand number `i` of an elementwise function is read, broadcast to the output. */
export function reading(input: Node, out: Node, i: number, shape: ShapeOf): Reading {
  if (sameShape(input.shape, out.shape)) {
    return { access: { kind: "same", terms: 0 }, params: {}, byFour: true };
  }
  const terms = indexTerms(shape(input), shape(out));
  return {
    access: { kind: terms[0]?.div === 1 ? "vector" : "splat", terms: terms.length },
    params: Object.fromEntries(terms.flatMap(({ div, mod, stride }, t) => {
      const prefix = `${OPERANDS[i]}${t}`;
      return [[`${prefix}_div`, div], [`${prefix}_mod`, mod], [`${prefix}_stride`, stride]];
    })),
    byFour: readsByFour(terms),
  };
}

/** Values of the constants of an elementwise function, as parameters. */
export function constantParams({ constants }: Elementwise): Record<string, number> {
  return Object.fromEntries(constants.map((value, i) => [`c${i}`, value]));
}

/** The launch that writes a function of some inputs into `out`, broadcasting them. */
export function elementwiseDispatch(
  made: Elementwise,
  inputs: readonly Node[],
  out: Node,
  shape: ShapeOf,
): Dispatch {
  const n = elements(shape(out));
  const readings = inputs.map((input, i) => reading(input, out, i, shape));
  const width = n % 4 === 0 && readings.every(({ byFour }) => byFour) ? 4 : 1;
  const accesses = readings.map(({ access }) => access);
  return {
    kernel: elementwiseKernel(made, accesses, width),
    bind: {
      ...Object.fromEntries(inputs.map((input, i) => [`x_${OPERANDS[i]}`, input])),
      y: out,
    },
    params: {
      n,
      ...constantParams(made),
      ...Object.assign({}, ...readings.map(({ params }) => params)),
    },
  };
}
