/**
 * What cannot change is computed once: the values that the frozen part of a program hands on, kept on
 * the device in a row for each example.
 *
 * An example has a row for each padded length that it occurs in, since the order of sums over tokens
 * may depend on the length; so has the padding of short batches. So every value has the bits that
 * computing it anew would give.
 *
 * @module
 */

import type { PlannedBatch } from "../data/batches.ts";
import type { Program } from "../gpu/program.ts";
import type { Session, Values } from "../gpu/session.ts";
import { chooseKept } from "../graph/choose_kept.ts";
import { findFrozen, first } from "../graph/frozen.ts";
import { input, inputAttributes, variable } from "../graph/leaves.ts";
import { byteLength, type Node, reached, repeated, storage } from "../graph/node.ts";
import { operationsOf } from "../graph/operations.ts";
import type { StoragePolicy } from "../graph/precision.ts";
import { bindShape, elements, type Sizes, symbol } from "../graph/shape.ts";
import { embedding } from "../ops/embedding.ts";
import { reshape } from "../ops/reshape.ts";
import { packSizes } from "./pack_rows.ts";

/**
 * Inputs of a task whose rows each follow from one example, or that never change. The weights of
 * labels follow from the whole batch, and what dropout counts by, from its place.
 */
export const EXAMPLE_INPUTS: ReadonlySet<string> = new Set([
  "ids",
  "mask",
  "last",
  "decoder_ids",
  "start_ids",
  "candidates",
]);

/** The input that holds the row of each example of a batch, u32 [B]. */
const PLACES = "kept_rows";

/** Prices of keeping, see {@linkcode chooseKept}, the first of which that fits is taken; last, nothing. */
export const KEPT_PRICES: readonly number[] = [1, 8, 64, Infinity];

/** Bytes that kept values may take, where no budget says so. */
const KEPT_BYTES = 2 ** 30;

/** Bytes that kept values may take: the budget for everything, or 1 GiB. */
export function keptLimit(memory: number | null): number {
  return memory ?? KEPT_BYTES;
}

/** Bytes that kept values may take in the host's memory. */
export const KEPT_HOST_BYTES = 2 ** 32;

/** How much is kept, and where. */
export interface KeptWay {
  /** Factor on the cost of keeping; see {@linkcode chooseKept}. Infinite to keep nothing. */
  readonly price: number;
  /** Whether in the host's memory, from where each step's rows are written; on the device unless so. */
  readonly host?: boolean;
  /** Tokens that are computed at once, as far as whole batches go into them; one batch unless given. */
  readonly tokens?: number;
}

/** Tokens that keep a device busy, so that more at once would take as long and more memory. */
const BUSY_TOKENS = 2048;

/** Ways of keeping: the first that fits is taken. */
export const KEPT_WAYS: readonly KeptWay[] = [
  { price: KEPT_PRICES[0], tokens: BUSY_TOKENS },
  ...KEPT_PRICES.filter((price) => price < Infinity).map((price) => ({ price })),
  { price: 64, host: true }, // only what takes many more operations than bytes
  { price: Infinity },
];

/** A program that is to run on kept values. */
export interface KeptRequest {
  readonly roots: readonly Node[];
  /** Nodes that are read after it has run. */
  readonly keep: readonly Node[];
  /** B, the rows of a batch, and T, its padded length. */
  readonly sizes: Sizes;
  /** Those of the program, where it has a batch's rows for several cells; the same unless given. */
  readonly all?: Sizes;
  readonly policy: StoragePolicy;
  /** Names of the variables that training changes. */
  readonly trained: ReadonlySet<string>;
  /** Factor on the cost of keeping; see {@linkcode chooseKept}. */
  readonly price: number;
  /** Whether the values are kept by the host. */
  readonly host?: boolean;
  /** Tokens that are computed at once; see {@linkcode KeptWay}. */
  readonly tokens?: number;
  /** Part of the variables' names. */
  readonly name: string;
  /** Rows that are kept at least, that of padding among them where a batch is short. */
  readonly rows: number;
}

/** A program cut in two: one that computes what is kept, and one that goes on from there. */
export interface KeptParts {
  /** What is kept, and the variable [rows, elements] that keeps it, or the input that it comes by. */
  readonly tables: ReadonlyMap<Node, Node>;
  /** Storage of both programs: that of the whole. */
  readonly policy: StoragePolicy;
  readonly roots: readonly Node[];
  readonly keep: readonly Node[];
  /** Sizes of the program that computes what is kept: B is that of one batch, or of several at once. */
  readonly sizes: Sizes;
  /** Rows of the tables: so many times B. */
  readonly rows: number;
  /** Bytes of the tables. */
  readonly bytes: number;
}

/** Cuts a program where its frozen part ends; null where nothing is worth keeping. */
export function keptParts(
  request: KeptRequest,
): KeptParts | null {
  const { roots, keep, sizes, all = sizes, policy, trained, price, host = false, name } = request;
  const B = symbol("B");
  const frozen = findFrozen(roots, { trained, inputs: EXAMPLE_INPUTS, rows: B });
  const half = new Set(policy(frozen.order, keep));
  const chosen = chooseKept(frozen, all, price, half);
  if (chosen.length === 0) return null;

  const { B: together, times } = atOnce(request);
  const rows = times * together;
  const width = (node: Node) => elements(bindShape(node.shape.slice(1), sizes));
  const tables = new Map(
    chosen.map((node, i) =>
      [
        node,
        host
          ? input(`kept.${name}.${i}`, node.shape, "f32")
          : variable(`kept.${name}.${sizes.T}.${i}`, [rows, width(node)], "kept"),
      ] as const
    ),
  );
  for (const [node, table] of tables) if (half.has(storage(node))) half.add(table);

  const places = input(PLACES, [B], "u32");
  const made = new Map<Node, Node>();
  const now = (node: Node): Node => {
    const known = made.get(node);
    if (known !== undefined || node.op.leaf !== undefined) return known ?? node;
    const table = tables.get(first(node))!; // whatever else comes earlier, is made
    if (host) return table;
    const row = embedding(table, places);
    if (half.has(table)) half.add(row);
    const shape = [B, ...bindShape(node.shape.slice(1), sizes)];
    const again = { ...reshape(row, shape), shape: node.shape };
    made.set(node, again);
    return again;
  };
  // In order, each anew, so that what updates variables in place keeps its turn.
  const needed = reached([...roots, ...keep], (node) => tables.has(first(node)));
  for (const node of frozen.order) {
    if (node.op.leaf !== undefined || !needed.has(node) || tables.has(first(node))) continue;
    const again = { ...repeated(node, node.inputs.map(now)), original: node.original };
    made.set(node, again);
    if (half.has(node)) half.add(again);
  }
  return {
    tables,
    policy: (order) => new Set(order.filter((node) => half.has(node))),
    roots: roots.map(now),
    keep: keep.map(now),
    sizes: { ...sizes, B: together },
    rows,
    bytes: [...tables].reduce(
      (sum, [node, table]) => sum + (host ? rows * width(node) * 4 : byteLength(table, {}, half)),
      0,
    ),
  };
}

/** Rows that are computed at once, and how often: the same each time, and nearly no more than asked for. */
function atOnce(
  { rows, sizes: { B, T }, tokens = 0 }: Pick<KeptRequest, "rows" | "sizes" | "tokens">,
): { B: number; times: number } {
  const batches = Math.ceil(rows / B);
  const most = Math.max(1, Math.floor(tokens / (B * T)));
  const times = Math.ceil(batches / most);
  return { B: Math.ceil(batches / times) * B, times };
}

/** The rows of one padded length. */
interface Shelf {
  readonly parts: KeptParts;
  readonly program: Program;
  /** Examples in the order of their rows, and the reverse. */
  readonly examples: readonly number[];
  readonly places: ReadonlyMap<number, number>;
  /** The rows of each input, where the host keeps them; else none. */
  readonly store: Map<Node, Float32Array<ArrayBuffer>>;
  /** Rows that are filled. */
  filled: number;
}

/** What {@linkcode KeptFeatures} is planned from. */
export interface KeptSplit extends Omit<KeptRequest, "sizes" | "all"> {
  /** Rows of a batch. */
  readonly rows: number;
  /** How many cells the program that goes on has, each with all rows of a batch; one unless given. */
  readonly cells?: number;
  /** Every batch to come, in order. */
  readonly batches: readonly PlannedBatch[];
  /** Inputs of some examples, and padding up to so many rows. */
  readonly inputs: (examples: PlannedBatch, rows: number) => Record<string, Values>;
}

/** A program, and its nodes that are read after it has run. */
export interface KeptProgram {
  readonly program: Program;
  readonly keep: readonly Node[];
}

/** The kept values of one split, for one graph. */
export class KeptFeatures {
  readonly #session: Session;
  readonly #split: KeptSplit;
  readonly #shelves = new Map<number, Shelf>();
  readonly #lengths: Map<number, Set<number>>;

  /** Plans nothing yet: see {@linkcode program}. */
  constructor(session: Session, split: KeptSplit) {
    this.#session = session;
    this.#split = split;
    this.#lengths = examplesByLength(split.batches);
  }

  /** Plans the program of one padded length on kept values; null where none is worth keeping. */
  program(T: number): KeptProgram | null {
    const { batches, rows, cells = 1, ...request } = this.#split;
    const sizes = { B: rows, T };
    const all = packSizes(cells, rows, T);
    const examples = [...this.#lengths.get(T)!];
    const padded = batches.some(({ bucketLength, indices }) =>
      bucketLength === T && indices.length < rows
    );
    const parts = keptParts({ ...request, sizes, all, rows: examples.length + (padded ? 1 : 0) });
    if (parts === null) return null;
    const kept = [...parts.tables.keys()];
    this.#shelves.set(T, {
      parts,
      program: this.#session.program(kept, parts.sizes, kept, parts.policy),
      examples,
      places: new Map(examples.map((example, row) => [example, row])),
      store: new Map(),
      filled: 0,
    });
    const program = this.#session.program(parts.roots, all, parts.keep, parts.policy);
    return { program, keep: parts.keep };
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return [...this.#shelves.values()].reduce((sum, { parts }) => sum + parts.bytes, 0);
  }

  /**
   * Computes what some batches need and is not there yet.
   *
   * @returns Whether anything was to be done.
   */
  async fill(batches: readonly PlannedBatch[]): Promise<boolean> {
    const { inputs, host } = this.#split;
    let done = false;
    for (const [length, upTo] of this.#ends(batches)) {
      const shelf = this.#shelves.get(length)!;
      const { program, parts: { tables, sizes: { B } }, examples } = shelf;
      for (; shelf.filled < upTo; shelf.filled += B, done = true) {
        const indices = examples.slice(shelf.filled, shelf.filled + B);
        this.#session.write(program, inputs({ indices, bucketLength: length }, B));
        if (host) {
          await this.#store(shelf);
          continue;
        }
        this.#session.run(
          [program],
          [...tables].map(([node, table]) => this.#session.copyInto(node, table, shelf.filled)),
        );
      }
    }
    return done;
  }

  /** Computes a batch of rows and takes them to the host. */
  async #store({ parts, program, store, filled }: Shelf): Promise<void> {
    const nodes = [...parts.tables.keys()];
    this.#session.run([program]);
    const values = await this.#session.read(program, nodes);
    nodes.forEach((node, i) => {
      const width = values[i].length / program.sizes.B;
      const all = store.get(node) ?? new Float32Array(parts.rows * width);
      all.set(values[i], filled * width);
      store.set(node, all);
    });
  }

  /** Operations that {@linkcode fill} takes for some batches where nothing is there. */
  operations(batches: readonly PlannedBatch[]): number {
    return this.#ends(batches).reduce((sum, [length, upTo]) => {
      const { program: { plan, sizes } } = this.#shelves.get(length)!;
      return sum + Math.ceil(upTo / sizes.B) * operationsOf(plan.order, sizes);
    }, 0);
  }

  /** The inputs by which a batch's program gets its rows; none where it does not run on kept values. */
  places({ bucketLength, indices }: PlannedBatch): Record<string, Values> {
    const shelf = this.#shelves.get(bucketLength);
    if (shelf === undefined) return {};
    const { examples, places, store, parts } = shelf;
    const rows = Uint32Array.from(
      { length: this.#split.rows },
      (_, row) => row < indices.length ? places.get(indices[row])! : examples.length,
    );
    if (!this.#split.host) return { [PLACES]: rows };
    return Object.fromEntries([...store].map(([node, all]) => {
      const width = all.length / parts.rows;
      const values = new Float32Array(rows.length * width);
      rows.forEach((from, to) =>
        values.set(all.subarray(from * width, (from + 1) * width), to * width)
      );
      return [inputAttributes(parts.tables.get(node)!).name, values];
    }));
  }

  /** Of each length in use, how many rows must be filled for some batches. */
  #ends(batches: readonly PlannedBatch[]): [number, number][] {
    const ends = new Map<number, number>();
    for (const { bucketLength, indices } of batches) {
      const shelf = this.#shelves.get(bucketLength);
      if (shelf === undefined) continue;
      const short = indices.length % this.#split.rows !== 0;
      const last = Math.max(
        ...indices.map((i) => shelf.places.get(i)!),
        short ? shelf.examples.length : 0,
      );
      ends.set(bucketLength, Math.max(ends.get(bucketLength) ?? 0, last + 1));
    }
    return [...ends];
  }
}

/** Examples of each padded length, in the order in which they first occur in it. */
function examplesByLength(batches: readonly PlannedBatch[]): Map<number, Set<number>> {
  const lengths = new Map<number, Set<number>>();
  for (const { bucketLength, indices } of batches) {
    const known = lengths.get(bucketLength) ?? new Set();
    for (const i of indices) known.add(i);
    lengths.set(bucketLength, known);
  }
  return lengths;
}
