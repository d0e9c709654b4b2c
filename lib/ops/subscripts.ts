import { bindShape, sameDim, type Shape, type Sizes, strides } from "../graph/shape.ts";
import type { Node } from "../graph/node.ts";

/** Subscripts of a contraction of two operands, as in numpy's einsum: `btc,nc->btn`. */
export interface Subscripts {
  readonly a: string;
  readonly b: string;
  readonly out: string;
}

/** Reads `a,b->out`. */
export function parseSubscripts(text: string): Subscripts {
  const match = /^([a-z]+),([a-z]+)->([a-z]*)$/.exec(text);
  if (match === null) {
    throw new TypeError(`Cannot read subscripts "${text}": write them as "ik,kj->ij"`);
  }
  const [, a, b, out] = match;
  for (const letter of a + b + out) {
    const places = [a, b, out].filter((part) => part.includes(letter)).length;
    if (places < 2) {
      throw new TypeError(`Cannot contract "${text}": ${letter} stands in one operand alone`);
    }
  }
  return { a, b, out };
}

/** Dimension of each letter. @throws TypeError where the operands disagree. */
export function letterDims(subscripts: Subscripts, a: Shape, b: Shape): Map<string, Shape[number]> {
  const dims = new Map<string, Shape[number]>();
  for (const [letters, shape, name] of [[subscripts.a, a, "a"], [subscripts.b, b, "b"]] as const) {
    if (letters.length !== shape.length) {
      throw new TypeError(
        `Cannot contract operand ${name}: ${letters.length} subscripts (${letters}) for ${shape.length} dimensions`,
      );
    }
    [...letters].forEach((letter, axis) => {
      const known = dims.get(letter);
      if (known !== undefined && !sameDim(known, shape[axis])) {
        throw new TypeError(
          `Cannot contract "${subscripts.a},${subscripts.b}": sizes of ${letter} must match (${
            JSON.stringify(known)
          } and ${JSON.stringify(shape[axis])})`,
        );
      }
      dims.set(letter, shape[axis]);
    });
  }
  return dims;
}

/** A run of letters that every operand holding them lays out as one dimension. */
export interface Axis {
  readonly letters: string;
  readonly size: number;
  /** Strides in a, b and out, elements; 0 where the operand lacks it. */
  readonly a: number;
  readonly b: number;
  readonly out: number;
}

/** The dimensions of a contraction, by what they are to a matrix product. */
export interface Axes {
  readonly batch: Axis[];
  readonly m: Axis[];
  readonly n: Axis[];
  readonly k: Axis[];
}

/** Sorts letters into batch, m, n and k, and merges neighbours into single dimensions. */
export function classify(s: Subscripts, a: Node, b: Node, out: Node, sizes: Sizes): Axes {
  const step = (letters: string, node: Node) => {
    const steps = strides(bindShape(node.shape, sizes));
    return (letter: string) => letters.includes(letter) ? steps[letters.indexOf(letter)] : 0;
  };
  const [stepA, stepB, stepOut] = [step(s.a, a), step(s.b, b), step(s.out, out)];
  const dims = letterDims(s, a.shape, b.shape);
  const bound = (letter: string) => bindShape([dims.get(letter)!], sizes)[0];
  const has = (letter: string) =>
    [s.a, s.b, s.out].map((letters) => letters.includes(letter)) as [boolean, boolean, boolean];
  const axes: Axes = { batch: [], m: [], n: [], k: [] };
  const place = ([inA, inB, inOut]: [boolean, boolean, boolean]) =>
    !inOut ? axes.k : inA && inB ? axes.batch : inA ? axes.m : axes.n;
  // Letters of the output in its order; the summed ones in a's.
  const ordered = [...s.out, ...[...s.a].filter((letter) => !s.out.includes(letter))];
  for (const letter of ordered) {
    const list = place(has(letter));
    const axis: Axis = {
      letters: letter,
      size: bound(letter),
      a: stepA(letter),
      b: stepB(letter),
      out: stepOut(letter),
    };
    const last = list[list.length - 1];
    const joins = last !== undefined &&
      (["a", "b", "out"] as const).every((x) => last[x] === axis[x] * axis.size);
    if (joins) {
      list[list.length - 1] = {
        ...axis,
        letters: last.letters + letter,
        size: last.size * axis.size,
      };
    } else list.push(axis);
  }
  return axes;
}
