/**
 * The report as one page that needs nothing else: no network, no other file.
 *
 * @module
 */

import type { Table, TableRow } from "../sweep/table.ts";
import { accuracyChart } from "./accuracy_chart.ts";
import { confusionTables } from "./confusion_tables.ts";
import { costCharts } from "./cost_charts.ts";
import { hardestTable, type Texts } from "./hardest_examples.ts";
import { html, Markup } from "./html.ts";
import { learningCurves } from "./learning_curves.ts";
import { provenance } from "./provenance.ts";
import type { ReportRuns } from "./read_runs.ts";
import { measureOf, reportRows } from "./report_rows.ts";
import { resultsTable, UNFINISHED } from "./results_table.ts";
import { script } from "./script.ts";
import { styles } from "./styles.ts";

/**
 * The page of some runs.
 *
 * @param texts Of validation examples, by the data's digest
 */
export function reportPage(
  table: Table,
  found: ReportRuns,
  texts: ReadonlyMap<string, Texts>,
): string {
  const measure = measureOf(table);
  const rows = reportRows(table, found.runs, measure);
  const sections: [id: string, title: string, content: () => Markup][] = [
    ["accuracy", "Accuracy against trainable parameters", () => accuracyChart(rows, measure)],
    ["table", "Results", () => results(table)],
    ["curves", "Learning curves", () => learningCurves(rows)],
    ["cost", "Cost", () => costCharts(rows)],
    ["confusion", "Confusion matrices", () => confusionTables(rows)],
    ["hardest", "Hardest sentences", () => hardestTable(rows, found, texts)],
    ["provenance", "Provenance", () => provenance(found.runs)],
  ];
  // Where nothing is done yet, there is nothing to draw.
  const shown = rows.length > 0
    ? sections
    : sections.filter(([id]) => ["table", "provenance"].includes(id));
  const { title, lead } = heading(found, rows.length);
  const page = html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <title>${title}</title>
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <link rel="icon" href="data:,">
        <style>${new Markup(styles)}</style>
      </head>
      <body>
        <header>
          <h1>${title}</h1>
          <p class="lead">${lead}</p>
          <nav aria-label="Sections">${shown.map(([id, name]) =>
            html`<a href="#${id}">${name}</a>`
          )}</nav>
        </header>
        <main>${shown.map(([id, name, content]) =>
          html`
            <section id="${id}"><h2>${name}</h2>${content()}</section>
          `
        )}</main>
        <script>${new Markup(script)}</script>
      </body>
    </html>
  `;
  return page.text.trimStart();
}

function results(table: Table): Markup {
  return html`${resultsTable(table)}<ul class="note notes">${
    table.notes.map((note) => html`<li>${note}</li>`)
  }${
    table.rows.filter(isFailure).map((row) =>
      html`<li><span class="failed">Failed:</span> ${row.approach}, seed ${
        row.seeds.join(", ")
      }: ${row.error}</li>`
    )
  }</ul>`;
}

function isFailure({ error, stopped }: TableRow): boolean {
  return error !== null && error !== UNFINISHED && stopped === undefined;
}

function heading({ runs }: ReportRuns, rows: number): { title: string; lead: string } {
  const one = (values: readonly string[], many: string): string => {
    const distinct = [...new Set(values)];
    return distinct.length <= 2 ? distinct.join(" and ") : `${distinct.length} ${many}`;
  };
  const base = one(runs.map(({ cell }) => cell.base.name), "bases");
  const data = one(runs.map(({ cell }) => cell.data.name), "data sets");
  const seeds = new Set(runs.map(({ cell }) => cell.seed)).size;
  const missing = runs.filter(({ result }) => result === null).length;
  const counted = (n: number, name: string) => `${n} ${name}${n === 1 ? "" : "s"}`;
  return {
    title: base === data ? `Fine-tuning: ${base} base and data` : `Fine-tuning ${base} on ${data}`,
    lead: [
      counted(runs.length, "run"),
      counted(rows, "row"),
      counted(seeds, "seed"),
      ...(missing > 0 ? [`${missing} without a result`] : []),
    ].join(", "),
  };
}
