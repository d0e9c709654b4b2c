/**
 * A session: the variables, the shared arena and the programs of one run.
 *
 * Programs are planned first and built together: intermediates of all of them share one arena
 * whose slots are as large as the largest needs. A step writes inputs and replays programs: one
 * compute pass, one submit that short steps share, no allocation, no wait.
 *
 * @module
 */

import {
  constantAttributes,
  inputAttributes,
  type Role,
  variableAttributes,
} from "../graph/leaves.ts";
import { type MemoryPlan, MemoryPlanner } from "../graph/memory.ts";
import { byteLength, type Node, storage, storedBytes } from "../graph/node.ts";
import { held, type Pass } from "../graph/passes/rewrite.ts";
import { placeOf, plan } from "../graph/plan.ts";
import { fullPrecision, type StoragePolicy } from "../graph/precision.ts";
import { bindShape, elements, type Sizes } from "../graph/shape.ts";
import type { Gpu } from "./device.ts";
import { type Place, Program } from "./program.ts";
import { type InputBytes, StepQueue } from "./step_queue.ts";

/** Values of an input or a variable. */
export type Values = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** A kept node, and the place in a buffer that gets its bytes. */
export interface Copy {
  readonly node: Node;
  readonly to: GPUBuffer;
  readonly offset: number;
}

/** What is read back: elements from a place on. */
interface Source {
  readonly place: Place;
  readonly count: number;
  readonly half: boolean;
}

/** Memory and programs of one run on one device. */
export class Session {
  readonly gpu: Gpu;
  readonly #policy: StoragePolicy;
  readonly #passes: readonly Pass[] | undefined;
  readonly #programs: Program[] = [];
  readonly #planner = new MemoryPlanner();
  /** Where each variable lies. */
  readonly #places = new Map<string, Place>();
  #slots: GPUBuffer[] = [];
  readonly #inputs = new Map<string, GPUBuffer>();
  readonly #constants = new Map<Program, Map<Node, GPUBuffer>>();
  #built = false;
  /** Steps whose inputs are to fit the staging buffer; see {@link stageSteps}. */
  #stagedSteps = 1;
  #queue: StepQueue | null = null;
  /** How many steps share a submit, as far as they can be staged; see {@link step}. */
  stepsPerSubmit = 1;
  /** Bytes uploaded that the device may not have taken yet. */
  #uploading = 0;

  /**
   * An empty session on a device, which it does not own.
   *
   * @param policy What its programs store in half precision; nothing unless given.
   * @param passes What its programs go through first; all of them unless given.
   */
  constructor(gpu: Gpu, policy: StoragePolicy = fullPrecision, passes?: readonly Pass[]) {
    this.gpu = gpu;
    this.#policy = policy;
    this.#passes = passes;
  }

  /**
   * Plans a program that computes `roots`; {@linkcode build} makes it ready.
   *
   * @param keep Nodes that can be read after a run (until the next program runs).
   * @param policy What it stores in half precision; the session's unless given.
   */
  program(
    roots: readonly Node[],
    sizes: Sizes,
    keep: readonly Node[] = [],
    policy: StoragePolicy = this.#policy,
  ): Program {
    if (this.#built) throw new Error("Cannot add a program: the session is built already");
    const planned = plan(roots, sizes, keep, policy, this.#passes);
    const program = new Program(this.gpu, planned, sizes);
    this.#programs.push(program);
    this.#planner.add(program.plan, sizes);
    return program;
  }

  /** Lets at most so many steps share a submit, for which {@linkcode build} allocates memory. */
  stageSteps(most: number): void {
    this.#stagedSteps = most;
  }

  /** Bytes that {@linkcode build} will allocate, known before it does. */
  memory(): MemoryPlan {
    return this.#planner.memory(
      this.#programs.reduce((sum, p) => sum + Math.max(p.uniformBytes(this.gpu), 16), 0),
      this.#stagedSteps,
    );
  }

  /**
   * Why the plan does not fit the adapter or a budget, with ways out; null where it does.
   *
   * @param budget Bytes that the plan may take in all; null for no limit.
   */
  misfit(budget: number | null = null): string | null {
    const { largest } = this.#planner;
    const { maxBufferSize } = this.gpu.device.limits;
    const waysOut = "lower --batch or --max-length, or take a smaller base";
    if (largest > maxBufferSize) {
      return `Cannot plan a tensor of ${largest} bytes: it is ${
        largest - maxBufferSize
      } bytes over the adapter's largest buffer (${maxBufferSize}); ${waysOut}`;
    }
    const { total } = this.memory();
    if (budget !== null && total > budget) {
      return `Cannot plan ${total} bytes on the GPU: the budget is ${budget} bytes, ${
        total - budget
      } fewer; raise --memory, give --micro-batch, leave --recompute at auto, ${waysOut}`;
    }
    return null;
  }

  /**
   * Allocates all memory and compiles all programs. WebGPU does not tell how much memory is free.
   *
   * @param budget Bytes that the plan may take in all; null for no limit.
   * @throws RangeError where a tensor or the whole plan does not fit the adapter or the budget.
   */
  async build(budget: number | null = null): Promise<void> {
    const { device } = this.gpu;
    const misfit = this.misfit(budget);
    if (misfit !== null) throw new RangeError(misfit);
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    const storageBuffer = (label: string, bytes: number) =>
      device.createBuffer({
        label,
        size: Math.max(bytes, 4),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
    this.#slots = this.#planner.slotBytes.map((bytes, slot) =>
      storageBuffer(`slot ${slot}`, bytes)
    );
    for (const { name, bytes, offsets } of this.#planner.variableBuffers(this.gpu.maxBinding)) {
      const buffer = storageBuffer(name, bytes);
      for (const [name, offset] of offsets) this.#places.set(name, { buffer, offset });
    }
    for (const [name, bytes] of this.#planner.inputBytes) {
      this.#inputs.set(name, storageBuffer(`input ${name}`, bytes));
    }
    const staged = this.#planner.stagedBytes(this.#stagedSteps);
    if (staged > 0) this.#queue = new StepQueue(device, staged);
    for (const program of this.#programs) {
      this.#constants.set(
        program,
        new Map(
          constantsOf(program).map((node) => {
            const { sizes, plan: { half } } = program;
            const buffer = storageBuffer("constant", byteLength(node, sizes, half));
            const values = constantAttributes(node).compute(bindShape(node.shape, sizes));
            device.queue.writeBuffer(buffer, 0, encode("constant", values, half.has(node)));
            return [node, buffer];
          }),
        ),
      );
    }
    this.#built = true;
    for (const program of this.#programs) {
      program.compile(this.gpu, (node) => this.#locate(program, node));
    }
    const memoryError = await device.popErrorScope();
    const validationError = await device.popErrorScope();
    if (memoryError !== null) {
      throw new RangeError(
        `Cannot allocate ${this.memory().total} bytes on the GPU: it is out of memory; lower --batch or --max-length, or take a smaller base`,
      );
    }
    if (validationError !== null) throw new Error(`Cannot compile: ${validationError.message}`);
  }

  #locate(program: Program, node: Node): Place {
    const { of: owner, offset } = placeOf(program.plan.windows, node);
    const { buffer, offset: start } = this.#whole(program, owner);
    return { buffer, offset: start + offset };
  }

  #whole(program: Program, owner: Node): Place {
    if (owner.op.leaf === "variable") return this.#places.get(variableAttributes(owner).name)!;
    if (owner.op.leaf === "input") return whole(this.#inputs.get(inputAttributes(owner).name)!);
    if (owner.op.leaf === "constant") return whole(this.#constants.get(program)!.get(owner)!);
    const slot = program.plan.slots.get(owner);
    if (slot === undefined) {
      throw new Error(`Cannot locate a ${owner.op.name}: not of this program`);
    }
    return whole(this.#slots[slot]);
  }

  /**
   * Fills a variable. `values` has as many elements as the variable.
   *
   * @throws RangeError where a value does not fit the variable's half precision.
   */
  upload(name: string, values: Values): void {
    this.uploadPart(name, values, { from: 0, of: values.length });
  }

  /**
   * Fills a part of a variable; {@linkcode settle} now and then keeps what waits for the device small.
   *
   * @param part.from Element of the variable that the first value goes to; even.
   * @param part.of Elements that the parts have in all: those of the variable.
   * @throws RangeError where a value does not fit the variable's half precision.
   */
  uploadPart(name: string, values: Values, part: { from: number; of: number }): void {
    const node = this.#planner.variables.get(name);
    if (node === undefined) return;
    const expected = elements(variableAttributes(node).shape);
    if (part.of !== expected) {
      throw new TypeError(`Cannot fill ${name}: it has ${expected} elements, found ${part.of}`);
    }
    const half = this.#planner.half.has(node);
    const bytes = encode(name, values, half, part.from);
    const { buffer, offset } = this.#places.get(name)!;
    this.flush();
    this.gpu.device.queue.writeBuffer(buffer, offset + storedBytes(part.from, half), bytes);
    this.#uploading += bytes.byteLength;
  }

  /**
   * Lets the device take what was uploaded, once that is much: until then a copy of it lies in
   * staging buffers, which whole models would double.
   */
  async settle(): Promise<void> {
    if (this.#uploading < UPLOAD_BYTES) return;
    this.#uploading = 0;
    this.gpu.device.queue.submit([]);
    await this.wait();
  }

  /** Fills the arena with NaN, so that an output nobody wrote shows. For tests. */
  poison(): void {
    this.flush();
    this.#slots.forEach((slot) => {
      const bits = new Uint32Array(slot.size / 4).fill(0x7fff7fff); // NaN in both precisions
      this.gpu.device.queue.writeBuffer(slot, 0, bits);
    });
  }

  /** Variables of some roles that programs use, by name. */
  variables(roles: readonly Role[]): Map<string, Node> {
    const wanted = (node: Node) => roles.includes(variableAttributes(node).role);
    return new Map([...this.#planner.variables].filter(([, node]) => wanted(node)));
  }

  /** Whether some program uses the variable. */
  has(name: string): boolean {
    return this.#planner.variables.has(name);
  }

  /**
   * Writes inputs, and what is derived from them, for the next run of a program.
   *
   * @throws TypeError where an input is missing or has another size than the program's.
   */
  write(program: Program, values: Readonly<Record<string, Values>>): void {
    this.#write(this.#inputBytes(program, values));
  }

  #write(inputs: readonly InputBytes[]): void {
    this.flush();
    for (const { to, bytes } of inputs) this.gpu.device.queue.writeBuffer(to, 0, bytes);
  }

  #inputBytes(program: Program, values: Readonly<Record<string, Values>>): InputBytes[] {
    return [...program.inputs].map(([name, node]) => {
      const { derivation } = inputAttributes(node);
      const given = derivation === undefined
        ? values[name]
        : derivation.compute(values[derivation.from] as Uint32Array);
      const expected = elements(bindShape(node.shape, program.sizes));
      if (given === undefined || given.length !== expected) {
        throw new TypeError(
          `Cannot write input ${name}: it has ${expected} elements, found ${
            given?.length ?? "none"
          }`,
        );
      }
      const bytes = encode(name, given, program.plan.half.has(node));
      return { to: this.#inputs.get(name)!, bytes };
    });
  }

  /**
   * Writes the inputs of the first of some programs and replays them as {@linkcode run} does, in a
   * submit that {@link stepsPerSubmit} steps share. Whatever else the session is asked for comes
   * behind all steps; {@linkcode flush} submits those that wait.
   *
   * @throws TypeError where an input is missing or has another size than the program's.
   */
  step(
    programs: readonly Program[],
    values: Readonly<Record<string, Values>>,
    copies: readonly Copy[] = [],
  ): void {
    const inputs = this.#inputBytes(programs[0], values);
    if (this.#queue?.fits(inputs) === false) this.flush();
    if (this.stepsPerSubmit > 1 && this.#queue?.fits(inputs)) {
      this.#queue.add(programs, inputs, copies);
      if (this.#queue.length >= this.stepsPerSubmit) this.flush();
    } else {
      this.#write(inputs);
      this.run(programs, copies);
    }
  }

  /** Submits the steps that wait. */
  flush(): void {
    const queue = this.#queue;
    if (queue === null || queue.length === 0) return;
    const encoder = this.gpu.device.createCommandEncoder();
    for (const step of queue.take()) {
      queue.place(step, encoder);
      this.#record(encoder, step.programs, step.copies);
    }
    this.gpu.device.queue.submit([encoder.finish()]);
  }

  /** A copy of a kept node's rows into a variable [rows, elements], from one of its rows on. */
  copyInto(node: Node, variable: Node, row: number): Copy {
    const { name, shape } = variableAttributes(variable);
    const { buffer, offset } = this.#places.get(name)!;
    const rowBytes = this.#planner.bytes(variable) / shape[0];
    return { node, to: buffer, offset: offset + row * rowBytes };
  }

  /** Copies variables, in the bytes that they are stored in, to places in a buffer; behind all steps. */
  copyOut(
    copies: readonly { readonly name: string; readonly offset: number }[],
    to: GPUBuffer,
  ): void {
    this.flush();
    if (copies.length === 0) return;
    const encoder = this.gpu.device.createCommandEncoder();
    for (const { name, offset } of copies) {
      const { buffer, offset: start } = this.#places.get(name)!;
      const bytes = this.#planner.bytes(this.#planner.variables.get(name)!);
      encoder.copyBufferToBuffer(buffer, start, to, offset, bytes);
    }
    this.gpu.device.queue.submit([encoder.finish()]);
  }

  /** Replays programs as {@linkcode encode} records them, in one submit. */
  run(programs: readonly Program[], copies: readonly Copy[] = []): void {
    this.flush();
    this.gpu.device.queue.submit([this.encode(programs, copies)]);
  }

  /**
   * Records programs, in order, in one pass, and then copies of nodes out of the arena.
   *
   * @param copies Kept nodes of the last program, and where their bytes go.
   * @returns What must be submitted: WebGPU in Deno does not bear a finished buffer that never is.
   */
  encode(programs: readonly Program[], copies: readonly Copy[] = []): GPUCommandBuffer {
    const encoder = this.gpu.device.createCommandEncoder();
    this.#record(encoder, programs, copies);
    return encoder.finish();
  }

  #record(
    encoder: GPUCommandEncoder,
    programs: readonly Program[],
    copies: readonly Copy[],
  ): void {
    const pass = encoder.beginComputePass();
    for (const program of programs) program.encode(pass);
    pass.end();
    const last = programs[programs.length - 1];
    for (const { node: asked, to, offset } of copies) {
      const node = held(last.plan, asked);
      const from = this.#locate(last, node);
      encoder.copyBufferToBuffer(
        from.buffer,
        from.offset,
        to,
        offset,
        byteLength(node, last.sizes, last.plan.half),
      );
    }
  }

  /** Reads kept nodes of a program that has run. */
  async read(program: Program, nodes: readonly Node[]): Promise<Float32Array<ArrayBuffer>[]> {
    return await this.#download(
      nodes.map((asked) => held(program.plan, asked)).map((node) => ({
        place: this.#locate(program, node),
        count: elements(bindShape(node.shape, program.sizes)),
        half: program.plan.half.has(storage(node)),
      })),
    );
  }

  /** Reads variables by name. */
  async readVariables(names: readonly string[]): Promise<Map<string, Float32Array<ArrayBuffer>>> {
    const values = await this.#download(names.map((name) => {
      const node = this.#planner.variables.get(name);
      if (node === undefined) throw new RangeError(`Cannot read ${name}: no such variable`);
      const count = elements(variableAttributes(node).shape);
      return { place: this.#places.get(name)!, count, half: this.#planner.half.has(node) };
    }));
    return new Map(names.map((name, i) => [name, values[i]]));
  }

  /** As few copies as their size allows: each costs a wait. */
  async #download(sources: readonly Source[]): Promise<Float32Array<ArrayBuffer>[]> {
    const values: Float32Array<ArrayBuffer>[] = [];
    for (let from = 0; from < sources.length;) {
      let to = from + 1;
      let bytes = bytesOf(sources[from]);
      while (to < sources.length && bytes + bytesOf(sources[to]) <= DOWNLOAD_BYTES) {
        bytes += bytesOf(sources[to++]);
      }
      values.push(...await this.#downloadAtOnce(sources.slice(from, to), bytes));
      from = to;
    }
    return values;
  }

  async #downloadAtOnce(
    sources: readonly Source[],
    total: number,
  ): Promise<Float32Array<ArrayBuffer>[]> {
    const { device } = this.gpu;
    this.flush();
    const staging = device.createBuffer({
      size: Math.max(total, 4),
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    try {
      const encoder = device.createCommandEncoder();
      let offset = 0;
      for (const source of sources) {
        const bytes = bytesOf(source);
        const { place } = source;
        encoder.copyBufferToBuffer(place.buffer, place.offset, staging, offset, bytes);
        offset += bytes;
      }
      device.queue.submit([encoder.finish()]);
      const mapped = await readMapped(staging);
      this.gpu.check();
      let at = 0;
      if (sources.length === 1 && !sources[0].half) return [mapped];
      return sources.map((source) => {
        const { count, half } = source;
        const part = half
          ? Float32Array.from(new Float16Array(mapped.buffer, at, count))
          : mapped.slice(at / 4, at / 4 + count);
        at += bytesOf(source);
        return part;
      });
    } finally {
      staging.destroy();
    }
  }

  /** Waits until all submitted work is done. */
  async wait(): Promise<void> {
    this.flush();
    await this.gpu.device.queue.onSubmittedWorkDone();
    this.gpu.check();
  }

  /** Frees every buffer of the session. */
  destroy(): void {
    for (const program of this.#programs) program.destroy();
    this.#queue?.destroy();
    this.#queue = null;
    const constants = [...this.#constants.values()].flatMap((buffers) => [...buffers.values()]);
    const variables = [...this.#places.values()].map(({ buffer }) => buffer);
    const owned = [...this.#slots, ...variables, ...this.#inputs.values(), ...constants];
    for (const buffer of new Set(owned)) buffer.destroy();
    this.#constants.clear();
    this.#slots = [];
    this.#places.clear();
    this.#inputs.clear();
  }
}

/** Bytes that are copied back at a time: whole models are read in parts, not by a buffer of their size. */
const DOWNLOAD_BYTES = 64 * 2 ** 20;

/** Bytes that may wait in staging buffers while variables are filled. */
const UPLOAD_BYTES = 64 * 2 ** 20;

function whole(buffer: GPUBuffer): Place {
  return { buffer, offset: 0 };
}

function bytesOf({ count, half }: Source): number {
  return storedBytes(count, half);
}

function constantsOf(program: Program): Node[] {
  return program.plan.order.filter((node) => node.op.leaf === "constant");
}

/** Maps a staging buffer, copies its contents as f32, and unmaps it. */
export async function readMapped(staging: GPUBuffer): Promise<Float32Array<ArrayBuffer>> {
  await staging.mapAsync(GPUMapMode.READ);
  const values = new Float32Array(staging.getMappedRange().slice(0));
  staging.unmap();
  return values;
}

/** Largest finite value of half precision. */
const LARGEST_HALF = 65504;

/** Values as they lie in a buffer, padded to a multiple of four bytes; `from`: the first one's index. */
function encode(
  name: string,
  values: Values,
  half: boolean,
  from = 0,
): Values | Float16Array<ArrayBuffer> {
  if (!half) return values;
  const halves = new Float16Array(Math.ceil(values.length / 2) * 2);
  halves.set(values);
  const bits = new Uint16Array(halves.buffer);
  // A plain loop over bits: whole models go through here.
  for (let i = 0; i < bits.length; i++) {
    const finite = (bits[i] & 0x7fff) < 0x7c00;
    if (finite || !Number.isFinite(values[i])) continue;
    throw new RangeError(
      `Cannot store ${name} in half precision: element ${from + i} is ${
        values[i]
      }, and the largest that fits is ${LARGEST_HALF}; use --precision f32`,
    );
  }
  return halves;
}
