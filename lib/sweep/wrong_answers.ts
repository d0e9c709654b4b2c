import { parse } from "@std/csv/parse";
import { readOrNone } from "../formats/read_or_none.ts";
import { readRun, type Run } from "./run_folder.ts";

/** Ids of the examples that a run's kept weights got wrong, by split. */
export type WrongAnswers = Readonly<Record<string, readonly string[]>>;

/** A run with what it got wrong. */
export interface AnsweredRun extends Run {
  /** Absent where it is not done, or where its predictions were taken away. */
  readonly wrong?: WrongAnswers;
}

/**
 * Reads a run back from its folder with what it got wrong; null where none was started.
 *
 * @throws {Error} When a file is there but cannot be read
 */
export async function readAnsweredRun(folder: string): Promise<AnsweredRun | null> {
  const run = await readRun(folder);
  if (run === null || run.result === null) return run;
  const wrong: Record<string, string[]> = {};
  for (const split of ["validation", ...Object.keys(run.result.splits)]) {
    if (split in wrong) continue;
    const path = `${folder}/predictions${split === "validation" ? "" : `_${split}`}.csv`;
    const text = await readOrNone(path);
    if (text === null) return run;
    const rows = predictionRows(text, path);
    const { examples } = run.result.splits[split] ?? run.result;
    if (rows.length !== examples) {
      throw new RangeError(
        `Cannot read ${path}: it has ${rows.length} rows, but result.json counts ${examples} examples`,
      );
    }
    wrong[split] = rows.filter(([, label, prediction]) => label !== prediction).map(([id]) => id);
  }
  return { ...run, wrong };
}

function predictionRows(text: string, path: string): string[][] {
  let rows: string[][];
  try {
    rows = parse(text);
  } catch (error) {
    throw new TypeError(`Cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
  const [header = [], ...body] = rows;
  if (header.slice(0, 3).join() !== "id,label,prediction") {
    throw new TypeError(`Cannot read ${path}: its columns must begin with id, label, prediction`);
  }
  const wrong = body.findIndex(({ length }) => length !== header.length);
  if (wrong < 0) return body;
  throw new TypeError(
    `Cannot read ${path}: row ${wrong + 1} has ${body[wrong].length} fields, not ${header.length}`,
  );
}
