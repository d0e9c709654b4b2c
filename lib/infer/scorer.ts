/**
 * What scores texts: one interface, and a program on WebGPU or a session of ONNX Runtime behind it.
 *
 * @module
 */

/** Scores texts by their token ids; made once, asked often, closed at the end. */
export interface Scorer {
  /** What computes, in words, for instance `WebGPU (NVIDIA H200)`. */
  readonly name: string;
  /**
   * Scores of the classes, [texts][classes], in the texts' order.
   *
   * @param texts Token ids of each text, each of at least 1 and at most the scorer's longest.
   */
  score(texts: readonly (readonly number[])[]): Promise<number[][]>;
  /** Frees what it holds. */
  close(): Promise<void>;
}
