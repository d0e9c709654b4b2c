/**
 * The table of the report: sorted by a click on a heading, filtered by typing.
 *
 * @module
 */

import { cellText, columnNames, columns } from "../sweep/table_format.ts";
import type { QuantityName, Table, TableRow } from "../sweep/table.ts";
import { html, type Markup } from "./html.ts";
import { marksOf } from "./palette.ts";

/** What the table says of a run that has neither result nor error. */
export const UNFINISHED = "not finished";

/** The table with its filter; cells hold unrounded values for sorting, those of the CSV. */
export function resultsTable(table: Table): Markup {
  const names = columnNames(table, "markdown");
  const marks = marksOf(table.rows.map(({ method }) => method));
  const heads = ["approach", ...names.map((name) => columns[name].long), "seeds"];
  return html`
    <div class="filter" hidden><label>Filter <input type="search" id="filter"
    placeholder="lora, adapter …" autocomplete="off" aria-controls="results"></label>
    <output id="count" aria-live="polite">${table.rows.length} rows</output></div>
    <div class="scroll" tabindex="0" role="region" aria-label="Results">
      <table id="results">
        <thead>
          <tr>${heads.map((head, i) =>
            html`
              <th scope="col" class="${i > 0 && i <= names.length ? "num" : ""}" ${i === 0
                ? ""
                : html`
                  data-column="${i <= names.length ? columns[names[i - 1]].csv : "seeds"}"
                `}><button type="button">${head}</button></th>
            `
          )}</tr>
        </thead>
        <tbody>${table.rows.map((row) => line(row, names, marks.get(row.method)!.color))}</tbody>
      </table>
    </div>
  `;
}

function line(row: TableRow, names: readonly QuantityName[], color: string): Markup {
  const failed = row.error === null ? null : html`
    <span class="failed" title="${row.error}">failed</span>
  `;
  const cells = names.map((name) => {
    const value = row.values[name];
    return html`<td class="num" data-v="${value?.mean ?? ""}">${
      cellText(value, columns[name], "markdown")
    }</td>`;
  });
  return html`<tr><th scope="row" style="--own:${color}">${row.approach}${failed}</th>${cells}<td>${
    row.seeds.join(", ")
  }</td></tr>`;
}
