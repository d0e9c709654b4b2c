/**
 * The table of the report: sorted by a click on a heading, filtered by typing.
 *
 * @module
 */

import { type ShownColumn, shownColumns, shownRows } from "../sweep/table_format.ts";
import type { Table, TableRow } from "../sweep/table.ts";
import { html, type Markup } from "./html.ts";
import { marksOf } from "./palette.ts";

/** What the table says of a run that has neither result nor error. */
export const UNFINISHED = "not finished";

/** The table with its filter; cells hold unrounded values for sorting, those of the CSV. */
export function resultsTable(table: Table): Markup {
  const rows = shownRows(table);
  const columns = shownColumns(rows, "markdown");
  const marks = marksOf(rows.map(({ method }) => method));
  return html`
    <div class="filter" hidden><label>Filter <input type="search" id="filter"
    placeholder="lora, adapter …" autocomplete="off" aria-controls="results"></label>
    <output id="count" aria-live="polite">${rows.length} rows</output></div>
    <div class="scroll" tabindex="0" role="region" aria-label="Results">
      <table id="results">
        <thead>
          <tr><th scope="col"><button type="button">approach</button></th>${columns.map((
            { head, csv },
          ) =>
            html`
              <th scope="col" class="num"
                data-column="${csv}"><button type="button">${head}</button></th>
            `
          )}<th scope="col"><button type="button">seeds</button></th></tr>
        </thead>
        <tbody>${rows.map((row) => line(row, columns, marks.get(row.method)!.color))}</tbody>
      </table>
    </div>
  `;
}

function line(row: TableRow, columns: readonly ShownColumn[], color: string): Markup {
  const failed = row.error === null ? null : html`
    <span class="failed" title="${row.error}">${row.error === UNFINISHED
      ? UNFINISHED
      : "failed"}</span>
  `;
  const cells = columns.map(({ read, write }) =>
    html`<td class="num" data-v="${read(row) ?? ""}">${write(row)}</td>`
  );
  return html`<tr><th scope="row" style="--own:${color}">${row.approach}${failed}</th>${cells}<td>${
    row.seeds.join(", ")
  }</td></tr>`;
}
