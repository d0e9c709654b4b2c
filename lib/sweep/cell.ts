import { digestJson } from "../formats/digest.ts";
import type { Precision } from "../graph/precision.ts";
import type { TrainSettings } from "../train/settings.ts";
import type { MethodSpec } from "./method_spec.ts";

/** Raised whenever a change to the code alters results, so that old cells are not taken for new. */
export const NUMERICS_VERSION = 4;

/** The fully resolved description of one run; free of machine paths, times and host names. */
export interface Cell {
  /** {@linkcode NUMERICS_VERSION} of the code that runs it. */
  version: number;
  /** Folder name of the base and the digest of its configuration and weights. */
  base: { name: string; digest: string };
  /** Digest of the tokenizer's file. */
  tokenizer: { digest: string };
  /** What it is trained and measured on. */
  data: {
    /** Folder or file name of the data. */
    name: string;
    /** Digest of the data as read. */
    digest: string;
    /** Training examples, drawn stratified by the cell's seed; null takes all. */
    trainSize: number | null;
    /** How the splits came about, for instance `files`, or the ratio and seed of a split. */
    splits: string;
    /** Whether training examples that also stand in another split were removed. */
    dedupe: boolean;
    /** Splits measured with the trained weights, besides the validation split. */
    evaluate: readonly ("train" | "test")[];
    /** Names of the columns read. */
    columns: { text: string; label: string };
  };
  /** How texts and classes are put to the model. */
  task: {
    /** Whether a base that could answer in words classifies by a head under every method. */
    head: boolean;
    /** Put before every text. */
    prefix: string;
    /** The word that stands for each class, in class order. */
    labelWords: readonly string[];
    /** The data's own label strings, in class order. */
    labels: readonly string[];
  };
  /** What is trained. */
  method: MethodSpec;
  /** A saved delta that it starts from: its folder's name and its digest; absent where none. */
  start?: { name: string; digest: string };
  /** What computes the final measurements; absent where it is what trains, WebGPU. */
  evalBackend?: "ort";
  /** How it is trained. */
  settings: TrainSettings;
  /** Draws the training sample, its order, initial values and dropout. */
  seed: number;
  /** How weights and activations are stored; sums, what trains and its optimizer are f32. */
  precision: Precision;
}

/** A cell's name: the first 16 hexadecimal digits of its canonical JSON's SHA-256. */
export function cellId(cell: Cell): string {
  return digestJson(cell).slice(0, 16);
}
