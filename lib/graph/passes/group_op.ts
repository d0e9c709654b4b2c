/**
 * The operation that a group of siblings is.
 *
 * @module
 */

import { copyRun } from "../../../kernels/copy_run.ts";
import { constant, constantAttributes } from "../leaves.ts";
import {
  type Dispatch,
  type KernelChoice,
  type Node,
  type Op,
  type Operand,
  type RunContext,
  storage,
} from "../node.ts";
import { bindShape, elements, type Sizes } from "../shape.ts";
import { derived } from "./fused_op.ts";

/** Nodes whose launches can be one. */
export interface Group {
  readonly members: readonly Node[];
  /** What they are joined to, if they are; it may have other inputs as well. */
  readonly join?: Node;
}

/** A node, and the first of some of its elements. */
export interface Source {
  readonly node: Node;
  readonly start: number;
}

/** What a group is made from: what nodes have become, and where their elements lie. */
interface Around {
  readonly now: (node: Node) => Node;
  readonly source: (node: Node) => Source;
  readonly sizes: Sizes;
}

/** Elements at a multiple of which a buffer can be bound, in either precision. */
const PART = 128;

/**
 * One node for a group: the tensor that its members are joined to; the first variable, where they
 * add to variables; or one in which they lie side by side.
 *
 * @returns The node, and what makes of it each member's value.
 */
export function groupNode(
  { members, join }: Group,
  { now, source, sizes }: Around,
): { whole: Node; parts: ((whole: Node, id: number) => Node)[] } {
  const [first] = members;
  const counts = members.map(({ shape }) => elements(bindShape(shape, sizes)));
  const within = new Set(members);
  const others = join?.inputs.filter((node) => !within.has(node)) ?? [];
  const places = join === undefined ? [] : join.op.placed!(join, sizes);
  let end = 0;
  const starts = members.map((node, i) => {
    if (join !== undefined) return places[join.inputs.indexOf(node)];
    const start = end;
    end += Math.ceil(counts[i] / PART) * PART;
    return start;
  });
  // Where each node that a member or the join reads lies, by the place in the inputs. What is placed
  // comes first, and is not the operand of a member as well: no launch reads what it writes.
  const inputs = others.map(now);
  const taken = new Map<Node, number>();
  const operands = new Map<Node, { readonly input: number; readonly start: number }>();
  const take = (node: Node, { node: from, start }: Source) => {
    const input = taken.get(from) ?? inputs.push(from) - 1;
    taken.set(from, input);
    operands.set(node, { input, start });
  };
  const together = first.inputs.map((_, position) => {
    const own = [...new Set(members.map(({ inputs }) => inputs[position]))];
    const tables = own.length > 1 && own.every(({ op }) => op.leaf === "constant")
      ? oneTable(own, sizes)
      : undefined;
    own.forEach((node, i) => take(node, tables?.[i] ?? source(node)));
    return own.map((node) => operands.get(node)!.input);
  });
  const shape = first.op.inPlace ? first.shape : join?.shape ?? [end];
  const work: Work = { members, join, others, starts, counts, operands, together };
  const whole: Node = {
    id: -1,
    op: groupOp(work, sizes),
    inputs,
    attributes: null,
    shape,
    dtype: first.dtype,
  };
  const parts = members.map((node, i) => (whole: Node, id: number): Node => ({
    ...node,
    id,
    ...node.op.inPlace
      ? { op: updatedOp, inputs: [whole.inputs[operands.get(node.inputs[0])!.input], whole] }
      : { op: partOp(starts[i]), inputs: [whole] },
    attributes: null,
  }));
  return { whole, parts };
}

interface Work extends Group {
  /** Inputs of the join that are no members. */
  readonly others: readonly Node[];
  /** The first element of each member's value in the node's, and how many there are. */
  readonly starts: readonly number[];
  readonly counts: readonly number[];
  /** Where what a member reads lies: in which input, and from which element on. */
  readonly operands: ReadonlyMap<Node, { readonly input: number; readonly start: number }>;
  /** For each input of a member: which of the node's all members have there. */
  readonly together: readonly (readonly number[])[];
}

/** Constants behind each other in one. */
function oneTable(constants: readonly Node[], sizes: Sizes): Source[] {
  const shapes = constants.map(({ shape }) => bindShape(shape, sizes));
  let end = 0;
  const starts = shapes.map((shape) => {
    const start = end;
    end += Math.ceil(elements(shape) / PART) * PART;
    return start;
  });
  const [{ dtype }] = constants;
  const node = constant([end], dtype, () => {
    const table = dtype === "f32" ? new Float32Array(end) : new Uint32Array(end);
    constants.forEach((one, i) => table.set(constantAttributes(one).compute(shapes[i]), starts[i]));
    return table;
  });
  return starts.map((start) => ({ node, start }));
}

function groupOp(work: Work, sizes: Sizes): Op {
  const { members, join, others } = work;
  const [{ op: { name, inPlace } }] = members;
  return {
    ...derived(
      `${members.length} × ${name}`,
      (node, context) => [
        ...join === undefined ? [] : joined(node, work, context),
        ...launches(node, work, context),
      ],
      members,
      () => [],
    ),
    inPlace,
    grouped: true,
    adjacent: () => members.flatMap((member) => member.op.adjacent?.(member) ?? []),
    together: ({ inputs }) =>
      work.together.map((own) => own.map((input) => storage(inputs[input])))
        .filter((own) => own.length > 1 && own.every(({ op }) => op.leaf === "variable")),
    placed: join && (() => {
      const places = join.op.placed!(join, sizes);
      return others.map((node) => places[join.inputs.indexOf(node)]);
    }),
  };
}

/** The launches of the join, but for what the members write there. */
function joined(
  node: Node,
  { members, join, others }: Work,
  context: RunContext,
): Dispatch[] {
  const now = (old: Node) => node.inputs[others.indexOf(old)];
  const within: RunContext["within"] = (part, _, element) =>
    members.includes(part) || context.within(now(part), node, element);
  return join!.op.run(join!, { ...context, within }).map((dispatch) => ({
    ...dispatch,
    bind: replaced(dispatch.bind, (bound) => bound === join ? { node } : { node: now(bound) }),
  }));
}

/** Every member's launches, on what its operands have become. */
function launches(
  node: Node,
  { members, starts, counts, operands }: Work,
  context: RunContext,
): Dispatch[] {
  const choices: KernelChoice[] = [];
  const note = (choice: KernelChoice) => {
    choices.push(choice);
    return choice.variants[0];
  };
  for (const member of members) member.op.run(member, { ...context, choose: note });
  const chosen = context.chooseEach(choices).values();
  const own: RunContext = { ...context, choose: () => chosen.next().value! };
  return members.flatMap((member, i) =>
    member.op.run(member, own).map((dispatch) => ({
      ...dispatch,
      bind: replaced(dispatch.bind, (bound, { rows, bytes }) => {
        let at = bound;
        while (at.op.view && !operands.has(at)) at = at.inputs[0];
        const width = elements(context.shape(bound).slice(1));
        const count = rows === undefined ? elements(context.shape(bound)) : rows.count * width;
        const skipped = (rows?.start ?? 0) * width;
        if (at === member) {
          return { node, elements: { start: starts[i] + skipped, count: counts[i] } };
        }
        const { input, start } = operands.get(at)!;
        if (bytes !== undefined) return { node: node.inputs[input], bytes };
        return { node: node.inputs[input], elements: { start: start + skipped, count } };
      }),
    }))
  );
}

function replaced(
  bind: Dispatch["bind"],
  by: (node: Node, range: Pick<Operand, "rows" | "bytes">) => Operand,
): Dispatch["bind"] {
  return Object.fromEntries(
    Object.entries(bind).map(([name, bound]) => [
      name,
      "node" in bound ? by(bound.node, bound) : by(bound, {}),
    ]),
  );
}

/** A member's variable, once the group has updated it. */
const updatedOp: Op = { ...derived("updated", () => [], [], () => []), inPlace: true };

/** A member's value. */
function partOp(start: number): Op {
  return {
    ...derived(
      "part",
      (node, { shape }) => {
        const [x] = node.inputs;
        const n = elements(shape(node));
        return [{
          kernel: copyRun(node.dtype, n, start, 0),
          bind: { x, y: node },
          params: { n, x_start: start, y_start: 0 },
        }];
      },
      [],
      () => [],
    ),
    taken: () => start,
  };
}
