/**
 * The command that writes a report.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { writeFileAtomic } from "../formats/atomic.ts";
import { notRunNotes } from "../sweep/not_run.ts";
import { openOut } from "../sweep/run_folder.ts";
import { buildTable, type Table } from "../sweep/table.ts";
import { tableCsv, tableMarkdown } from "../sweep/table_format.ts";
import { tableTex } from "../sweep/table_tex.ts";
import { reportPage } from "./page.ts";
import { readRuns } from "./read_runs.ts";
import { openTexts } from "./texts.ts";

const usage = `Writes table.csv, table.md, table.tex and report.html from a folder of runs.

  deno task report DIR [--out DIR] [--data DIR]

  DIR         folder of runs: the --out of a sweep (runs)
  --out DIR   receives the files (the folder of runs)
  --data DIR  the runs' data, so that the hardest examples stand there with their texts`;

/** A report's files by name. */
export type ReportFiles = Readonly<
  Record<"table.csv" | "table.md" | "table.tex" | "report.html", string>
>;

/**
 * The files of a report: a function of the runs' folders alone, and of the data's texts.
 *
 * @param folder Folder of runs
 * @param data Folder or file of their data, for texts of examples; null shows ids
 * @throws {Error} When runs or data cannot be read
 */
export async function reportFiles(folder: string, data: string | null): Promise<ReportFiles> {
  const found = await readRuns(folder);
  const built = buildTable(found.runs, { choose: found.record?.choose });
  const { record } = found;
  const begun = new Set(found.runs.map(({ id }) => id));
  const further = record === null ? [] : [...record.notes, ...notRunNotes(record, begun)];
  const table: Table = { ...built, notes: [...built.notes, ...further] };
  return {
    "table.csv": tableCsv(table),
    "table.md": tableMarkdown(table),
    "table.tex": tableTex(table),
    "report.html": reportPage(table, found, await openTexts(found.runs, data)),
  };
}

/**
 * Writes a report, as a command line asks for.
 *
 * @param args The command line's words
 * @returns The exit code
 */
export async function reportMain(args: readonly string[]): Promise<number> {
  try {
    const flags = parseArgs([...args], {
      string: ["out", "data"],
      boolean: ["help"],
      unknown: (arg, key) => {
        if (key === undefined) return true;
        throw new TypeError(`Cannot use option ${arg}: no such option; use --out, --data, --help`);
      },
    });
    if (flags.help) {
      console.log(usage);
      return 0;
    }
    const folders = flags._.map(String);
    if (folders.length > 1) {
      throw new TypeError(`Cannot report on ${folders.join(" and ")}: name one folder of runs`);
    }
    const folder = folders[0] ?? "runs";
    const files = await reportFiles(folder, flags.data ?? null);
    const out = flags.out ?? folder;
    await openOut(out);
    for (const [name, text] of Object.entries(files)) await writeFileAtomic(`${out}/${name}`, text);
    console.log(`Wrote ${Object.keys(files).map((name) => `${out}/${name}`).join(", ")}`);
    return 0;
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    return 1;
  }
}
