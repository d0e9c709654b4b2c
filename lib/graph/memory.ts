/**
 * What programs that run on one device together hold there: known from their graphs alone.
 *
 * @module
 */

import { adjacentRuns, paddedBytes } from "./adjacent.ts";
import { inputAttributes, type Role, variableAttributes } from "./leaves.ts";
import { byteLength, type Node } from "./node.ts";
import type { Plan } from "./plan.ts";
import type { Sizes } from "./shape.ts";

/** Bytes on the device, by class. */
export interface MemoryPlan {
  readonly byRole: Readonly<Record<Role, number>>;
  /** The arena of intermediates that all programs share. */
  readonly activations: number;
  /** Those of a step, and room for those of the steps that share a submit. */
  readonly inputs: number;
  readonly constants: number;
  /** Parameters of the launches; 0 where only the graphs are known. */
  readonly params: number;
  /** Between variables that lie side by side, so that each starts where it can be bound. */
  readonly padding: number;
  readonly total: number;
}

/** Bytes that the inputs of steps that share a submit may take. */
const STAGED_BYTES = 2 ** 20;

/** A buffer of variables. */
export interface VariableBuffer {
  /** Of the first variable. */
  readonly name: string;
  readonly bytes: number;
  /** Where each variable starts, bytes. */
  readonly offsets: ReadonlyMap<string, number>;
}

/** Adds up what programs need: shared variables and inputs, one arena of the largest slots. */
export class MemoryPlanner {
  /** Bytes of each slot of the arena. */
  readonly slotBytes: number[] = [];
  /** Every variable, by name. */
  readonly variables: Map<string, Node> = new Map();
  /** Bytes of each input under the largest sizes. */
  readonly inputBytes: Map<string, number> = new Map();
  /** Those of the variables that are half precision, in every program alike. */
  readonly half: Set<Node> = new Set();
  /** Names of variables that lie side by side, and the list that each is in. */
  readonly #adjacent = new Map<string, readonly string[]>();
  /** Lists of names of variables that lie in one buffer. */
  readonly #together: (readonly string[])[] = [];
  #constants = 0;
  /** Bytes of all inputs of the program that has the most. */
  #inputsAtOnce = 0;

  /**
   * Takes a program in.
   *
   * @throws TypeError where a variable has another shape or precision than in an earlier program, or
   *   other neighbours.
   */
  add({ order, slotBytes, half }: Plan, sizes: Sizes): void {
    slotBytes.forEach((bytes, slot) => {
      this.slotBytes[slot] = Math.max(this.slotBytes[slot] ?? 0, bytes);
    });
    let inputs = 0;
    for (const node of order) {
      if (node.op.leaf === "variable") this.#declare(node, half.has(node));
      if (node.op.leaf === "constant") this.#constants += byteLength(node, sizes, half);
      if (node.op.leaf === "input") {
        const { name } = inputAttributes(node);
        const bytes = byteLength(node, sizes, half);
        this.inputBytes.set(name, Math.max(this.inputBytes.get(name) ?? 0, bytes));
        inputs += bytes;
      }
      for (const list of node.op.adjacent?.(node) ?? []) {
        this.#adjoin(list.map((variable) => variableAttributes(variable).name));
      }
      for (const list of node.op.together?.(node) ?? []) {
        if (list.length > 1) this.#together.push(list.map((one) => variableAttributes(one).name));
      }
    }
    this.#inputsAtOnce = Math.max(this.#inputsAtOnce, inputs);
  }

  #declare(node: Node, half: boolean): void {
    const { name } = variableAttributes(node);
    const known = this.variables.get(name);
    if (known !== undefined && byteLength(known, {}) !== byteLength(node, {})) {
      throw new TypeError(`Cannot declare variable ${name} twice with different shapes`);
    }
    if (known !== undefined && this.half.has(known) !== half) {
      throw new TypeError(
        `Cannot store variable ${name} in half precision in one program and not in another`,
      );
    }
    this.variables.set(name, node);
    if (half) this.half.add(node);
  }

  #adjoin(names: readonly string[]): void {
    for (const name of names) {
      const known = this.#adjacent.get(name) ?? names;
      if (known.length !== names.length || known.some((other, i) => other !== names[i])) {
        throw new TypeError(
          `Cannot lay out ${name} between two lists of neighbours: they must be the same everywhere`,
        );
      }
      this.#adjacent.set(name, known);
    }
  }

  /**
   * The buffers that hold the variables.
   *
   * @param maxBinding Largest binding, bytes; variables share a buffer as long as it can be bound.
   */
  variableBuffers(maxBinding: number): VariableBuffer[] {
    const lists = this.#lists();
    const listed = new Set(lists.flat());
    const alone = [...this.variables].filter(([name]) => !listed.has(name));
    const runs = lists.flatMap((names) => {
      const sizes = names.map((name) => this.bytes(this.variables.get(name)!));
      return adjacentRuns(sizes, maxBinding).map(({ start, offsets, bytes }) => ({
        names: names.slice(start, start + offsets.length),
        bytes,
        offsets,
      }));
    });
    const shared = unions([...runs.map(({ names }) => names), ...this.#together]);
    return [
      ...alone.map(([name, node]) => (
        { name, bytes: this.bytes(node), offsets: new Map([[name, 0]]) }
      )),
      ...[...Map.groupBy(runs, ({ names: [name] }) => shared(name)).values()].flatMap((own) =>
        own.reduce((sum, { bytes }) => sum + bytes, 0) <= maxBinding
          ? [own]
          : own.map((one) => [one])
      ).map((own) => {
        const offsets = new Map<string, number>();
        let bytes = 0;
        for (const run of own) {
          run.names.forEach((name, i) => offsets.set(name, bytes + run.offsets[i]));
          bytes += run.bytes;
        }
        return { name: own[0].names[0], bytes, offsets };
      }),
    ];
  }

  /** Names of variables that lie side by side: neighbours, and those that only share a buffer. */
  #lists(): (readonly string[])[] {
    const others = new Set(this.#together.flat().filter((name) => !this.#adjacent.has(name)));
    return [...new Set(this.#adjacent.values()), ...[...others].map((name) => [name])];
  }

  /** Bytes of a variable. */
  bytes(variable: Node): number {
    return byteLength(variable, {}, this.half);
  }

  /** Bytes of the largest buffer. */
  get largest(): number {
    const variables = [...this.variables.values()].map((node) => this.bytes(node));
    return Math.max(0, ...this.slotBytes, ...variables);
  }

  /** Bytes of the inputs of so many steps, or of as many as may wait; 0 where none may. */
  stagedBytes(steps: number): number {
    if (this.#inputsAtOnce === 0) return 0;
    const count = Math.min(steps, Math.floor(STAGED_BYTES / this.#inputsAtOnce));
    return count < 2 ? 0 : count * this.#inputsAtOnce;
  }

  /**
   * The bytes so far.
   *
   * @param params Bytes of the launches' parameters.
   * @param steps Steps that may share a submit.
   */
  memory(params = 0, steps = 1): MemoryPlan {
    const byRole: Record<Role, number> = {
      weight: 0,
      trainable: 0,
      gradient: 0,
      optimizer: 0,
      control: 0,
      kept: 0,
    };
    for (const node of this.variables.values()) {
      byRole[variableAttributes(node).role] += this.bytes(node);
    }
    const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);
    const activations = sum(this.slotBytes);
    const inputs = sum(this.inputBytes.values()) + this.stagedBytes(steps);
    const constants = this.#constants;
    const padding = sum(
      this.#lists().flat().map((name) => {
        const bytes = this.bytes(this.variables.get(name)!);
        return paddedBytes(bytes) - bytes;
      }),
    );
    const parts = [activations, inputs, constants, params, padding];
    const total = sum([...Object.values(byRole), ...parts]);
    return { byRole, activations, inputs, constants, params, padding, total };
  }
}

/** Tells, of the members of some sets, which are in one, also by way of others, by a name for it. */
function unions(sets: readonly (readonly string[])[]): (member: string) => string {
  const parents = new Map<string, string>();
  const find = (member: string): string => {
    let at = member;
    while (parents.has(at)) at = parents.get(at)!;
    return at;
  };
  for (const [first, ...rest] of sets) {
    for (const member of rest) {
      const [a, b] = [find(first), find(member)];
      if (a !== b) parents.set(b, a);
    }
  }
  return find;
}
