/** One labelled text. */
export interface Example {
  /** Cleaned text. */
  readonly text: string;
  /** Class, counted from 0. */
  readonly label: number;
  /** Row in the file (or files) of its split, counted from 0 and without the header; unique there. */
  readonly id: number;
}

/** Names of the parts of a data set. */
export type SplitName = "train" | "validation" | "test";
