/**
 * Nodes of the static graph, and the record that an operation is.
 *
 * Calling an operation adds a node; nothing runs. Three readers walk the nodes: training
 * (differentiate, plan, compile), ONNX lowering, and accounting.
 *
 * @module
 */

import type { Elementwise } from "../../kernels/elementwise.ts";
import type { Kernel, Params, Tune } from "../../kernels/kernel.ts";
import type { OnnxBuilder, OnnxValue } from "./onnx.ts";
import { bindShape, elements, type Shape, type Sizes } from "./shape.ts";

/**
 * Element type of a node's values as operations see them. In which width an f32 node lies in memory
 * is a property of its place in a program, see `precision.ts`.
 */
export type DType = "f32" | "u32" | "i32";

/** One node of a graph. Its id grows with creation, so order of ids is an order of execution. */
export interface Node {
  /** Place in the order of execution. */
  readonly id: number;
  /**
   * How it is computed.
   *
   * @internal
   */
  readonly op: Op;
  /** What it is computed from. */
  readonly inputs: readonly Node[];
  /** The operation's constants, as its author typed them. */
  readonly attributes: unknown;
  /** Row-major, outermost dimension first. */
  readonly shape: Shape;
  /** Type of its elements. */
  readonly dtype: DType;
  /** The node that this one computes again, if it does. */
  readonly original?: Node;
}

/** Rows of a node's first dimension, so that a large tensor can be bound in parts. */
export interface RowRange {
  readonly start: number;
  readonly count: number;
}

/** Bytes counted from a node's first. */
export interface ByteRange {
  readonly start: number;
  readonly length: number;
}

/** Elements of a node, counted from its first. */
export interface ElementRange {
  readonly start: number;
  readonly count: number;
}

/**
 * What a dispatch binds under a name: a node, some of its rows, some of its elements, or some bytes
 * from its first on.
 */
export interface Operand {
  readonly node: Node;
  readonly rows?: RowRange;
  /** From where no buffer may be bindable, in the launches of a {@linkcode Op.grouped} node. */
  readonly elements?: ElementRange;
  /** They may reach into the variables that lie behind the node; see {@linkcode Op.adjacent}. */
  readonly bytes?: ByteRange;
}

/** One launch of a kernel. */
export interface Dispatch {
  readonly kernel: Kernel;
  readonly bind: Readonly<Record<string, Node | Operand>>;
  readonly params: Params;
  /** Constants that differ from the kernel's defaults. */
  readonly tune?: Tune;
}

/** Tells the bound shapes of nodes. */
export type ShapeOf = (node: Node) => number[];

/** What the environment tells an operation that asks for its dispatches. */
export interface RunContext {
  /** Numbers bound to symbols. */
  readonly sizes: Sizes;
  /** Largest storage binding of the adapter, bytes. */
  readonly maxBinding: number;
  /** Chooses among kernels that do the same; see `lib/gpu/tuning.ts`. */
  readonly choose: (choice: KernelChoice) => Kernel;
  /** Does so for launches that are one as far as their kernels are. */
  readonly chooseEach: (choices: readonly KernelChoice[]) => Kernel[];
  /** Whether a node's memory is that of another from an element on, see {@linkcode Op.placed}. */
  readonly within: (node: Node, whole: Node, element: number) => boolean;
  /** Bound shape of a node. */
  readonly shape: (node: Node) => number[];
}

/** Variants of one class (the same order of sums), and what the choice may depend on. */
export interface KernelChoice {
  readonly family: string;
  readonly variants: readonly Kernel[];
  readonly params: Params;
  /** Other families that do the same, if more slowly: one may suit more of several launches. */
  readonly others?: readonly Pick<KernelChoice, "family" | "variants">[];
}

/** An operation: shape rule, dispatches, backward, ONNX lowering. Untyped side, as graph walkers see it. */
export interface Op {
  readonly name: string;
  /** What kind of leaf this is, for the planner; absent for computed nodes. */
  readonly leaf?: Leaf;
  /** The output is the first input under another shape: no dispatch, no memory. */
  readonly view?: boolean;
  /** The output is the first input, a variable, updated in place. */
  readonly inPlace?: boolean;
  /** Lists of its inputs, variables that must lie side by side; see `lib/graph/adjacent.ts`. */
  readonly adjacent?: (node: Node) => readonly (readonly Node[])[];
  /** Lists of its inputs, variables that must lie in one buffer, in any order. */
  readonly together?: (node: Node) => readonly (readonly Node[])[];
  /** Whether its launches and those of others of its kind can be one; see `passes/group.ts`. */
  readonly groupable?: boolean;
  /** Whether its launches of one kernel, on the same buffers, are one; none reads what others write. */
  readonly grouped?: boolean;
  /** Gradients end here: its inputs count as constants. */
  readonly stopsGradient?: boolean;
  /**
   * Of an operation that only takes a run of its first input's elements: which is the first. Where a
   * buffer can be bound there, it costs no dispatch and no memory.
   */
  readonly taken?: (node: Node, sizes: Sizes) => number;
  /**
   * Of an operation that only lays its inputs into runs of its output: the first element of each.
   * An input may be computed at its place; `run` asks {@linkcode RunContext.within}.
   */
  readonly placed?: (node: Node, sizes: Sizes) => readonly number[];
  /** One node for two of this operation that are to be added up; null where there is none. */
  readonly merge?: (a: Node, b: Node) => Node | null;
  /** The function of its inputs, broadcast to its shape, that each element of it is, if it is one. */
  readonly elementwise?: (node: Node) => Elementwise;
  /**
   * What programs compute in its place, where that takes memory in between: a node of the same id, over
   * others of ids less than one below it. The node itself elsewhere.
   */
  readonly expand?: (node: Node) => Node;
  /** A node equal to the bit that takes less, or the node itself. */
  readonly simplify?: (node: Node) => Node;
  /**
   * The binding of its output, where its last launch assigns each element once and reads none, so
   * that an elementwise function can be applied there; see `lib/graph/passes/fuse.ts`.
   */
  readonly epilogue?: string;
  /**
   * Which inputs its output may lie over: each element is read last by the invocation that writes the
   * same one of the output, right before it does, in the operation's only launch.
   */
  readonly overwrites?: (node: Node) => readonly number[];
  /** Whether it has a backward rule. */
  readonly differentiable: boolean;
  readonly run: (node: Node, context: RunContext) => Dispatch[];
  readonly backward: (
    node: Node,
    gradient: Node,
    needs: readonly boolean[],
  ) => readonly (Node | null)[];
  /** Floating-point operations that computing a node takes; a multiply-add counts as two. */
  readonly flops: (node: Node, shape: ShapeOf) => number;
  /** Whether it has a lowering to ONNX. */
  readonly lowerable: boolean;
  /** Adds ONNX nodes that compute a node from its inputs' values. @throws TypeError if it has none. */
  readonly onnx: (node: Node, inputs: readonly OnnxValue[], graph: OnnxBuilder) => OnnxValue;
}

/** Nodes that nothing computes: see `lib/graph/leaves.ts`. */
export type Leaf = "input" | "variable" | "constant";

/** What an operation's author writes; see {@linkcode op}. */
export interface OpDefinition<A> {
  readonly name: string;
  readonly leaf?: Leaf;
  readonly view?: boolean;
  readonly inPlace?: boolean;
  /** See {@linkcode Op.adjacent}. */
  readonly adjacent?: (node: Node) => readonly (readonly Node[])[];
  /** See {@linkcode Op.groupable}; that of an elementwise operation are unless it says no. */
  readonly groupable?: boolean;
  /** See {@linkcode Op.grouped}. */
  readonly grouped?: boolean;
  /** Gradients end here: its inputs count as constants. */
  readonly stopsGradient?: boolean;
  /** See {@linkcode Op.taken}. */
  readonly taken?: (node: Node, attributes: A, sizes: Sizes) => number;
  /** See {@linkcode Op.placed}. */
  readonly placed?: (node: Node, attributes: A, sizes: Sizes) => readonly number[];
  /** See {@linkcode Op.merge}. */
  readonly merge?: (a: Node, b: Node) => Node | null;
  /** See {@linkcode Op.elementwise}. */
  readonly elementwise?: (attributes: A) => Elementwise;
  /** See {@linkcode Op.expand}. */
  readonly expand?: (node: Node, attributes: A) => Node;
  /** See {@linkcode Op.simplify}. */
  readonly simplify?: (node: Node, attributes: A) => Node;
  /** See {@linkcode Op.epilogue}. */
  readonly epilogue?: string;
  /** See {@linkcode Op.overwrites}; all inputs of an elementwise operation unless given. */
  readonly overwrites?: readonly number[];
  /** Shape of the output. @throws TypeError where the inputs do not fit. */
  readonly shape: (inputs: readonly Node[], attributes: A) => Shape;
  /** Element type of the output; f32 unless given. */
  readonly dtype?: (inputs: readonly Node[], attributes: A) => DType;
  /** The launches that compute the node. */
  readonly run: (node: Node, attributes: A, context: RunContext) => Dispatch[];
  /**
   * Nodes of the gradient towards each input, null where there is none or none is needed.
   * Absent: the operation is not differentiable, and asking is an error.
   */
  readonly backward?: (
    node: Node,
    gradient: Node,
    needs: readonly boolean[],
    attributes: A,
  ) => readonly (Node | null)[];
  /**
   * Floating-point operations, a multiply-add counting as two: for each element of the output (a
   * number), or in all. Absent: 0, for what only moves or sets values.
   */
  readonly flops?: number | ((node: Node, attributes: A, shape: ShapeOf) => number);
  /**
   * Lowering to ONNX: adds nodes that compute the output from the inputs' values. Absent: the
   * operation belongs to training, and exporting it is an error.
   */
  readonly onnx?: OnnxLowering<A>;
}

/** See {@linkcode OpDefinition.onnx}. */
export type OnnxLowering<A> = (
  graph: OnnxBuilder,
  inputs: readonly OnnxValue[],
  node: Node,
  attributes: A,
) => OnnxValue;

/** Adds a node of one operation to the graph. */
export type OpFunction<A> = (inputs: readonly Node[], attributes: A) => Node;

let nextId = 0;
const defined: Op[] = [];

/** Every operation that the modules loaded so far define. */
export function operations(): readonly Op[] {
  return defined;
}

/** Turns a definition into the function that adds its nodes. */
export function op<A>(definition: OpDefinition<A>): OpFunction<A> {
  const { taken, placed, elementwise, expand, simplify } = definition;
  const erased: Op = {
    name: definition.name,
    leaf: definition.leaf,
    view: definition.view,
    inPlace: definition.inPlace,
    adjacent: definition.adjacent,
    groupable: definition.groupable ?? elementwise !== undefined,
    grouped: definition.grouped,
    stopsGradient: definition.stopsGradient,
    taken: taken && ((node, sizes) => taken(node, node.attributes as A, sizes)),
    placed: placed && ((node, sizes) => placed(node, node.attributes as A, sizes)),
    merge: definition.merge,
    elementwise: elementwise && ((node) => elementwise(node.attributes as A)),
    expand: expand && ((node) => expand(node, node.attributes as A)),
    simplify: simplify && ((node) => simplify(node, node.attributes as A)),
    epilogue: definition.epilogue,
    overwrites: ({ inputs }) =>
      definition.overwrites ?? (elementwise === undefined ? [] : inputs.map((_, i) => i)),
    differentiable: definition.backward !== undefined,
    run: (node, context) => definition.run(node, node.attributes as A, context),
    backward: (node, gradient, needs) => {
      if (definition.backward === undefined) {
        throw new TypeError(`Cannot differentiate ${definition.name}: it has no backward rule`);
      }
      return definition.backward(node, gradient, needs, node.attributes as A);
    },
    flops: (node, shape) => {
      const { flops = 0 } = definition;
      if (typeof flops === "number") return flops * elements(shape(node));
      return flops(node, node.attributes as A, shape);
    },
    lowerable: definition.onnx !== undefined,
    onnx: (node, inputs, graph) => {
      if (definition.onnx === undefined) {
        throw new TypeError(
          `Cannot lower ${definition.name} to ONNX: it has no lowering; export a forward pass without dropout and loss`,
        );
      }
      return definition.onnx(graph, inputs, node, node.attributes as A);
    },
  };
  defined.push(erased);
  return (inputs, attributes) => ({
    id: nextId++,
    op: erased,
    inputs,
    attributes,
    shape: definition.shape(inputs, attributes),
    dtype: definition.dtype?.(inputs, attributes) ?? "f32",
  });
}

/** A node that computes again what another does, from inputs of the same shapes. */
export function repeated(node: Node, inputs: readonly Node[]): Node {
  return { ...node, id: nextId++, inputs, original: node.original ?? node };
}

/** Whether a node is a run of its only input's elements, and nothing else. */
export function isShare({ op, inputs }: Node): boolean {
  return op.taken !== undefined && inputs.length === 1;
}

/** The node whose memory a node uses: itself, or what it is a view or update of. */
export function storage(node: Node): Node {
  let at = node;
  while (at.op.view || at.op.inPlace) at = at.inputs[0];
  return at;
}

/**
 * Bytes of a node under some sizes, a multiple of four: four each, or two where its place is one of
 * `half`.
 */
export function byteLength(node: Node, sizes: Sizes, half?: ReadonlySet<Node>): number {
  return storedBytes(elements(bindShape(node.shape, sizes)), half?.has(storage(node)) ?? false);
}

/** Bytes of so many elements, a multiple of four as buffers are. */
export function storedBytes(count: number, half: boolean): number {
  return half ? Math.ceil(count / 2) * 4 : count * 4;
}

/**
 * Every node that the roots rest on, themselves included.
 *
 * @param ends Nodes whose inputs are left out; none unless given.
 */
export function reached(
  roots: readonly Node[],
  ends: (node: Node) => boolean = () => false,
): Set<Node> {
  const seen = new Set<Node>();
  const stack = [...roots];
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    if (!ends(node)) stack.push(...node.inputs);
  }
  return seen;
}

/** Every node that the roots rest on, in order of execution. */
export function topological(roots: readonly Node[]): Node[] {
  return [...reached(roots)].sort((a, b) => a.id - b.id);
}
