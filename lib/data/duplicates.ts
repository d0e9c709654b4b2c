import type { Example } from "./example.ts";

/** The parts of a data set. */
export interface Splits {
  /** What is trained on. */
  readonly train: readonly Example[];
  /** What every epoch is measured on. */
  readonly validation: readonly Example[];
  /** What is measured once; absent where there is none with labels. */
  readonly test?: readonly Example[];
}

/** How often equal (cleaned) texts stand in a data set, counted in rows before any was removed. */
export interface Duplicates {
  /** Rows whose text stands earlier in the same split. */
  readonly within: { readonly train: number; readonly validation: number; readonly test: number };
  /** Rows of the first split whose text stands in the second too. */
  readonly across: {
    readonly trainValidation: number;
    readonly trainTest: number;
    readonly validationTest: number;
  };
  /** Distinct texts that stand under more than one label. */
  readonly conflicting: number;
  /** Rows taken out of the training split: those that repeat an earlier one, those that leak. */
  readonly removed: { readonly repeated: number; readonly leaking: number };
}

/** Counts equal texts within and across splits. */
export function countDuplicates({ train, validation, test = [] }: Splits): Duplicates {
  const inValidation = textsOf(validation);
  const inTest = textsOf(test);
  const labels = new Map<string, number>();
  const conflicting = new Set<string>();
  for (const { text, label } of [...train, ...validation, ...test]) {
    if ((labels.get(text) ?? label) !== label) conflicting.add(text);
    else labels.set(text, label);
  }
  return {
    within: {
      train: train.length - textsOf(train).size,
      validation: validation.length - inValidation.size,
      test: test.length - inTest.size,
    },
    across: {
      trainValidation: count(train, inValidation),
      trainTest: count(train, inTest),
      validationTest: count(validation, inTest),
    },
    conflicting: conflicting.size,
    removed: { repeated: 0, leaking: 0 },
  };
}

/**
 * The training examples without those that stand in validation or test too (they would leak), and
 * of equal texts only the first, whatever their labels.
 */
export function removeDuplicates(
  { train, validation, test = [] }: Splits,
): { train: Example[]; removed: Duplicates["removed"] } {
  const held = new Set([...textsOf(validation), ...textsOf(test)]);
  const clean = train.filter(({ text }) => !held.has(text));
  const seen = new Set<string>();
  const kept = clean.filter(({ text }) => !seen.has(text) && seen.add(text));
  return {
    train: kept,
    removed: { leaking: train.length - clean.length, repeated: clean.length - kept.length },
  };
}

function textsOf(examples: readonly Example[]): Set<string> {
  return new Set(examples.map(({ text }) => text));
}

function count(examples: readonly Example[], texts: ReadonlySet<string>): number {
  return examples.filter(({ text }) => texts.has(text)).length;
}
