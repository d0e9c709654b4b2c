import { shownColumns, shownRows } from "./table_format.ts";
import type { Table } from "./table.ts";

const escapes: Readonly<Record<string, string>> = {
  "\\": "\\textbackslash{}",
  "~": "\\textasciitilde{}",
  "^": "\\textasciicircum{}",
  "<": "\\textless{}",
  ">": "\\textgreater{}",
  "|": "\\textbar{}",
  '"': "\\textquotedbl{}",
  "±": "$\\pm$",
  "–": "--",
  "≤": "$\\leq$",
  "≥": "$\\geq$",
  "×": "$\\times$",
  "≈": "$\\approx$",
};

/** Escapes what LaTeX reads as commands, and what its fonts may not have. */
export function escapeTex(text: string): string {
  return text.replace(/[&%$#_{}\\~^<>|"±–≤≥×≈]/g, (one) => escapes[one] ?? `\\${one}`);
}

/** The table for LaTeX, with its notes below; needs the package booktabs. */
export function tableTex(table: Table): string {
  const chosen = shownRows(table);
  const shown = shownColumns(chosen, "markdown");
  const line = (cells: readonly string[]): string => `${cells.map(escapeTex).join(" & ")} \\\\`;
  const rows = chosen.map((row) =>
    line([
      row.approach + (row.error === null ? "" : " (failed)"),
      ...shown.map(({ write }) => write(row)),
      row.seeds.join(", "),
    ])
  );
  return [
    "% Needs \\usepackage{booktabs}.",
    `\\begin{tabular}{l${"r".repeat(shown.length)}l}`,
    "\\toprule",
    line(["approach", ...shown.map(({ head }) => head), "seeds"]),
    "\\midrule",
    ...rows,
    "\\bottomrule",
    "\\end{tabular}",
    ...table.notes.map((note) => `\n\\par\\smallskip\\footnotesize ${escapeTex(note)}`),
    "",
  ].join("\n");
}
