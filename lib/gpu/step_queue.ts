/**
 * Steps that share a submit: what each reads waits in one buffer for its turn.
 *
 * @module
 */

import type { Program } from "./program.ts";
import type { Copy } from "./session.ts";

/** The bytes of an input, and the buffer that programs read them from. */
export interface InputBytes {
  readonly to: GPUBuffer;
  readonly bytes: ArrayBufferView<ArrayBuffer>;
}

/** An input in the staging buffer. */
export interface Staged {
  readonly to: GPUBuffer;
  readonly from: number;
  readonly length: number;
}

/** A step that is not submitted yet. */
export interface QueuedStep {
  readonly programs: readonly Program[];
  readonly copies: readonly Copy[];
  readonly inputs: readonly Staged[];
}

/** Steps that wait, and the staging buffer of their inputs. */
export class StepQueue {
  readonly #device: GPUDevice;
  readonly #buffer: GPUBuffer;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #steps: QueuedStep[] = [];
  #used = 0;

  /** @param size Bytes of the staging buffer, a multiple of four. */
  constructor(device: GPUDevice, size: number) {
    this.#device = device;
    this.#bytes = new Uint8Array(size);
    this.#buffer = device.createBuffer({
      label: "staged inputs",
      size,
      usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  /** Steps that wait. */
  get length(): number {
    return this.#steps.length;
  }

  /** Whether the inputs of a step still fit. */
  fits(inputs: readonly InputBytes[]): boolean {
    const bytes = inputs.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
    return this.#used + bytes <= this.#bytes.length;
  }

  /** Adds a step whose inputs fit. */
  add(
    programs: readonly Program[],
    inputs: readonly InputBytes[],
    copies: readonly Copy[],
  ): void {
    const staged = inputs.map(({ to, bytes: { buffer, byteOffset, byteLength: length } }) => {
      const from = this.#used;
      this.#bytes.set(new Uint8Array(buffer, byteOffset, length), from);
      this.#used += length;
      return { to, from, length };
    });
    this.#steps.push({ programs, copies, inputs: staged });
  }

  /**
   * Takes all steps out. Their inputs are written now: the device takes writes before the next submit,
   * and after those before.
   */
  take(): readonly QueuedStep[] {
    const steps = this.#steps;
    this.#device.queue.writeBuffer(this.#buffer, 0, this.#bytes, 0, this.#used);
    this.#steps = [];
    this.#used = 0;
    return steps;
  }

  /** Records the copies that put a step's inputs where its programs read them. */
  place({ inputs }: QueuedStep, encoder: GPUCommandEncoder): void {
    for (const { to, from, length } of inputs) {
      encoder.copyBufferToBuffer(this.#buffer, from, to, 0, length);
    }
  }

  /** Frees the staging buffer; steps that wait are dropped. */
  destroy(): void {
    this.#steps = [];
    this.#buffer.destroy();
  }
}
