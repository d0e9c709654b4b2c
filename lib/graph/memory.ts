/**
 * What programs that run on one device together hold there: known from their graphs alone.
 *
 * @module
 */

import { inputAttributes, type Role, variableAttributes } from "./leaves.ts";
import { byteLength, type Node } from "./node.ts";
import type { Plan } from "./plan.ts";
import type { Sizes } from "./shape.ts";

/** Bytes on the device, by class. */
export interface MemoryPlan {
  readonly byRole: Readonly<Record<Role, number>>;
  /** The arena of intermediates that all programs share. */
  readonly activations: number;
  readonly inputs: number;
  readonly constants: number;
  /** Parameters of the launches; 0 where only the graphs are known. */
  readonly params: number;
  readonly total: number;
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
  #constants = 0;

  /**
   * Takes a program in.
   *
   * @throws TypeError where a variable has another shape or precision than in an earlier program.
   */
  add({ order, slotBytes, half }: Plan, sizes: Sizes): void {
    slotBytes.forEach((bytes, slot) => {
      this.slotBytes[slot] = Math.max(this.slotBytes[slot] ?? 0, bytes);
    });
    for (const node of order) {
      if (node.op.leaf === "variable") this.#declare(node, half.has(node));
      if (node.op.leaf === "constant") this.#constants += byteLength(node, sizes, half);
      if (node.op.leaf === "input") {
        const { name } = inputAttributes(node);
        const bytes = byteLength(node, sizes, half);
        this.inputBytes.set(name, Math.max(this.inputBytes.get(name) ?? 0, bytes));
      }
    }
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

  /** Bytes of a variable. */
  bytes(variable: Node): number {
    return byteLength(variable, {}, this.half);
  }

  /** Bytes of the largest buffer. */
  get largest(): number {
    const variables = [...this.variables.values()].map((node) => this.bytes(node));
    return Math.max(0, ...this.slotBytes, ...variables);
  }

  /**
   * The bytes so far.
   *
   * @param params Bytes of the launches' parameters.
   */
  memory(params = 0): MemoryPlan {
    const byRole: Record<Role, number> = {
      weight: 0,
      trainable: 0,
      gradient: 0,
      optimizer: 0,
      control: 0,
    };
    for (const node of this.variables.values()) {
      byRole[variableAttributes(node).role] += this.bytes(node);
    }
    const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);
    const activations = sum(this.slotBytes);
    const inputs = sum(this.inputBytes.values());
    const constants = this.#constants;
    const total = sum(Object.values(byRole)) + activations + inputs + constants + params;
    return { byRole, activations, inputs, constants, params, total };
  }
}
