/**
 * A compiled program: a fixed list of pipeline, bind group and grid, replayed without allocation.
 *
 * @module
 */

import { type Kernel, type Params, paramsSize } from "../../kernels/kernel.ts";
import { inPlace } from "../../kernels/in_place.ts";
import { stored } from "../../kernels/stored.ts";
import { inputAttributes } from "../graph/leaves.ts";
import {
  type Dispatch,
  type KernelChoice,
  type Node,
  type RunContext,
  storage,
  storedBytes,
} from "../graph/node.ts";
import { placeOf, type Plan, windowOffset } from "../graph/plan.ts";
import { bindShape, elements, type Sizes } from "../graph/shape.ts";
import type { Gpu } from "./device.ts";
import {
  alone,
  type Extent,
  isGrouped,
  launchParams,
  layoutOf,
  type Member,
  operand,
  type Prepared,
  span,
  together,
} from "./launch_group.ts";
import { chooseKernel, chooseKernels, noteUse } from "./tuning.ts";

/** Where memory lies: from which byte of a buffer on. */
export interface Place {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

/** Where a program finds the memory of a node, a view's included. */
export type Locate = (node: Node) => Place;

interface Launch {
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly x: number;
  readonly y: number;
}

/** A program of a session: planned first, compiled when the session has allocated its memory. */
export class Program {
  readonly plan: Plan;
  readonly sizes: Sizes;
  /** Inputs by name. */
  readonly inputs: ReadonlyMap<string, Node>;
  readonly #prepared: Prepared[];
  #launches: Launch[] = [];
  #uniforms: GPUBuffer | null = null;

  /** Plans a program; see `Session.program`. */
  constructor(gpu: Gpu, plan: Plan, sizes: Sizes) {
    this.plan = plan;
    this.sizes = sizes;
    this.inputs = new Map(
      plan.order.filter((node) => node.op.leaf === "input")
        .map((node) => [inputAttributes(node).name, node]),
    );
    let choices: KernelChoice[] = [];
    const context: RunContext = {
      sizes,
      maxBinding: gpu.maxBinding,
      choose: (choice: KernelChoice) => {
        choices.push(choice);
        return chooseKernel(gpu, choice);
      },
      chooseEach: (choices) => chooseKernels(gpu, choices),
      within: (node, whole, element) => {
        const window = plan.windows.get(storage(node));
        return window?.of === whole &&
          window.offset === windowOffset(element, plan.half.has(whole));
      },
      shape: (node) => bindShape(node.shape, sizes),
    };
    const extent = (member: Member, name: string): Extent => {
      const { offset, size } = this.#extent(member, name);
      return {
        offset: offset + placeOf(plan.windows, operand(member.bind[name]).node).offset,
        size,
      };
    };
    const layout = layoutOf(plan, gpu.maxBinding, extent);
    this.#prepared = plan.order.flatMap((node) => {
      const isWindow = node.op.taken !== undefined && plan.windows.has(node);
      if (isWindow) return [];
      choices = [];
      const own = node.op.run(node, context).map((one) => this.#member(one))
        .filter(({ groups }) => groups > 0);
      if (node.op.grouped) return together(node, own, layout);
      // Where each launch was chosen, they were so in order.
      if (choices.length === own.length) {
        choices.forEach((choice, i) =>
          noteUse(gpu, choice, {
            operands: this.#operandSizes(own[i]),
            operations: node.op.flops(node, context.shape) / own.length,
          })
        );
      }
      return own.map(alone);
    });
  }

  #member(own: Dispatch): Member {
    const kernel = storedKernel({ ...own, kernel: inPlaceKernel(own, this.plan) }, this.plan.half);
    const tune = { ...kernel.tune, ...own.tune };
    return { ...own, kernel, tune, groups: kernel.workgroups(own.params, tune) };
  }

  /** Kernel launches of one replay. */
  get dispatches(): number {
    return this.#prepared.length;
  }

  /** Names of the kernels launched, in order. */
  get kernels(): string[] {
    return this.#prepared.map(({ kernel }) => kernel.name);
  }

  /** What each launch is: kernel name, parameters (of the first of several that are one), workgroups. */
  describe(): { kernel: string; params: Params; groups: number }[] {
    return this.#prepared.map(({ kernel, members, groups }) => (
      { kernel: kernel.name, params: members[0].params, groups }
    ));
  }

  /** Bytes of the parameter structs. */
  uniformBytes(gpu: Gpu): number {
    const step = gpu.device.limits.minUniformBufferOffsetAlignment;
    return this.#prepared.reduce((sum, { kernel }) => sum + align(paramsSize(kernel), step), 0);
  }

  /** Makes pipelines and bind groups. */
  compile(gpu: Gpu, locate: Locate): void {
    const step = gpu.device.limits.minUniformBufferOffsetAlignment;
    const uniforms = new Uint8Array(Math.max(this.uniformBytes(gpu), 16));
    this.#uniforms = gpu.device.createBuffer({
      label: "params",
      size: uniforms.length,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    let offset = 0;
    this.#launches = this.#prepared.map((prepared) => {
      const { kernel, tune, groups } = prepared;
      const { pipeline, layout } = gpu.pipeline(kernel, tune);
      const bound = new Map(
        [...Object.keys(kernel.reads), ...Object.keys(kernel.writes)].map((name) =>
          [name, this.#resource(gpu, prepared, name, locate)] as const
        ),
      );
      const params = launchParams(
        prepared,
        (member, name) => this.#located(member, name, locate).offset - bound.get(name)!.offset,
      );
      uniforms.set(params, offset);
      const resources: GPUBindingResource[] = [
        ...bound.values(),
        { buffer: this.#uniforms!, offset, size: params.length },
      ];
      offset += align(params.length, step);
      const bindGroup = gpu.device.createBindGroup({
        layout,
        entries: resources.map((resource, binding) => ({ binding, resource })),
      });
      const most = gpu.device.limits.maxComputeWorkgroupsPerDimension;
      const y = Math.ceil(groups / most);
      return { name: kernel.name, pipeline, bindGroup, x: Math.ceil(groups / y), y };
    });
    gpu.device.queue.writeBuffer(this.#uniforms, 0, uniforms);
  }

  /** Elements of each binding. */
  #operandSizes({ bind }: Dispatch): Record<string, number> {
    return Object.fromEntries(
      Object.entries(bind).map(([name, bound]) => {
        const { node: { shape }, rows } = operand(bound);
        const [first, ...rest] = bindShape(shape, this.sizes);
        return [name, (rows?.count ?? first ?? 1) * elements(rest)];
      }),
    );
  }

  #resource(
    gpu: Gpu,
    prepared: Prepared,
    name: string,
    locate: Locate,
  ): { buffer: GPUBuffer } & Extent {
    const { members } = prepared;
    const { buffer, ...first } = this.#located(members[0], name, locate);
    const extent = !isGrouped(prepared) ? first : span(members.map((member) => {
      const place = this.#located(member, name, locate);
      if (place.buffer === buffer) return place;
      throw new Error(`Cannot run ${prepared.kernel.name}: ${name} lies in several buffers`);
    }));
    if (extent.size > gpu.maxBinding) {
      throw new RangeError(
        `Cannot run ${prepared.kernel.name}: a tensor of ${extent.size} bytes is ${
          extent.size - gpu.maxBinding
        } bytes over the adapter's largest binding (${gpu.maxBinding}); lower --batch or --max-length, or take a smaller base`,
      );
    }
    return { buffer, ...extent };
  }

  #located(member: Member, name: string, locate: Locate): { buffer: GPUBuffer } & Extent {
    const { offset, size } = this.#extent(member, name);
    const place = locate(operand(member.bind[name]).node);
    return { buffer: place.buffer, offset: place.offset + offset, size };
  }

  /** What is bound of an operand's memory. */
  #extent({ kernel, bind }: Member, name: string): Extent {
    const bound = bind[name];
    if (bound === undefined) {
      throw new TypeError(`Cannot run ${kernel.name}: nothing is bound to ${name}`);
    }
    const { node, rows, elements: part, bytes } = operand(bound);
    const shape = bindShape(node.shape, this.sizes);
    const half = this.plan.half.has(storage(node));
    const width = elements(shape.slice(1));
    const { start, count } = part ??
      (rows === undefined
        ? { start: 0, count: elements(shape) }
        : { start: rows.start * width, count: rows.count * width });
    return {
      offset: bytes?.start ?? windowOffset(start, half),
      size: bytes?.length ?? storedBytes(count, half),
    };
  }

  /** Records the launches into a pass; all of them, or those of a range. */
  encode(pass: GPUComputePassEncoder, start = 0, end: number = this.#launches.length): void {
    let current: GPUComputePipeline | null = null;
    for (let i = start; i < end; i++) {
      const { pipeline, bindGroup, x, y } = this.#launches[i];
      if (pipeline !== current) pass.setPipeline(current = pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(x, y);
    }
  }

  /** Frees what the program owns. */
  destroy(): void {
    this.#uniforms?.destroy();
    this.#uniforms = null;
    this.#launches = [];
  }
}

/** The dispatch's kernel, reading from the output's place what the plan has it write over. */
function inPlaceKernel({ kernel, bind }: Dispatch, { slots }: Plan): Kernel {
  const slot = (name: string) =>
    bind[name] === undefined ? undefined : slots.get(storage(operand(bind[name]).node));
  return Object.keys(kernel.writes).filter((written) => slot(written) !== undefined).reduce(
    (made, written) =>
      Object.keys(kernel.reads).filter((read) => slot(read) === slot(written))
        .reduce((made, read) => inPlace(made, read, written), made),
    kernel,
  );
}

/** The dispatch's kernel, reading and writing in half precision what is stored so. */
function storedKernel({ kernel, bind }: Dispatch, half: ReadonlySet<Node>): Kernel {
  const names = [...Object.keys(kernel.reads), ...Object.keys(kernel.writes)].filter((name) =>
    bind[name] !== undefined && half.has(storage(operand(bind[name]).node))
  );
  return names.length === 0 ? kernel : stored(kernel, names);
}

function align(bytes: number, step: number): number {
  return Math.ceil(bytes / step) * step;
}
