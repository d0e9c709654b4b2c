import { cellText, columnNames, columns } from "./table_format.ts";
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
};

/** Escapes what LaTeX reads as commands, and what its fonts may not have. */
export function escapeTex(text: string): string {
  return text.replace(/[&%$#_{}\\~^<>|"±–≤≥×]/g, (one) => escapes[one] ?? `\\${one}`);
}

/** The table for LaTeX, with its notes below; needs the package booktabs. */
export function tableTex(table: Table): string {
  const names = columnNames(table, "markdown");
  const line = (cells: readonly string[]): string => `${cells.map(escapeTex).join(" & ")} \\\\`;
  const rows = table.rows.map((row) =>
    line([
      row.approach + (row.error === null ? "" : " (failed)"),
      ...names.map((name) => cellText(row.values[name], columns[name], "markdown")),
      row.seeds.join(", "),
    ])
  );
  return [
    "% Needs \\usepackage{booktabs}.",
    `\\begin{tabular}{l${"r".repeat(names.length)}l}`,
    "\\toprule",
    line(["approach", ...names.map((name) => columns[name].long), "seeds"]),
    "\\midrule",
    ...rows,
    "\\bottomrule",
    "\\end{tabular}",
    ...table.notes.map((note) => `\n\\par\\smallskip\\footnotesize ${escapeTex(note)}`),
    "",
  ].join("\n");
}
