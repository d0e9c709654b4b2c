/**
 * Rows of cells as aligned text, two spaces between columns.
 *
 * @param right For each column, whether it is aligned to the right.
 */
export function textColumns(
  rows: readonly (readonly string[])[],
  right: readonly boolean[],
): string {
  const widths = right.map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows.map((row) =>
    row.map((cell, i) => right[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))
      .join("  ").trimEnd()
  ).join("\n");
}
