/**
 * The validation examples that most rows get wrong, and which rows these are.
 *
 * @module
 */

import { html, type Markup } from "./html.ts";
import type { ReportRuns } from "./read_runs.ts";
import { chooseRows, type ReportRow } from "./report_rows.ts";

/** Examples that are listed, and rows that there is room for. */
const [MOST, MOST_ROWS] = [25, 16];

/** An example and how often each row got it wrong. */
export interface HardExample {
  /** Its id among the validation examples. */
  readonly id: string;
  /** Mean over the rows of the share of their runs that got it wrong. */
  readonly difficulty: number;
  /** For each row, the runs that got it wrong. */
  readonly wrong: readonly number[];
}

/** The hardest examples first; equals in the order of the runs' files. Every row counts the same. */
export function hardestExamples(rows: readonly ReportRow[], most: number = MOST): HardExample[] {
  const wrong = new Map<string, number[]>();
  rows.forEach(({ runs }, i) => {
    for (const id of runs.flatMap((run) => run.wrong?.validation ?? [])) {
      const counts = wrong.get(id) ?? rows.map(() => 0);
      counts[i]++;
      wrong.set(id, counts);
    }
  });
  return [...wrong].map(([id, wrong]) => ({
    id,
    wrong,
    difficulty: wrong.reduce((sum, n, i) => sum + n / rows[i].runs.length, 0) / rows.length,
  })).sort((a, b) => b.difficulty - a.difficulty).slice(0, most);
}

/** Texts of examples by their ids, where they are known. */
export type Texts = ReadonlyMap<string, string>;

/**
 * The section's table.
 *
 * @param texts By the data's digest
 */
export function hardestTable(
  all: readonly ReportRow[],
  { labels }: Pick<ReportRuns, "labels">,
  texts: ReadonlyMap<string, Texts>,
): Markup {
  const digest = all[0].runs[0].cell.data.digest;
  const same = all.filter(({ runs }) =>
    runs.every(({ cell, wrong }) => cell.data.digest === digest && wrong !== undefined)
  );
  const { rows, note } = chooseRows(same, MOST_ROWS);
  const known = texts.get(digest);
  const examples = hardestExamples(rows);
  if (examples.length === 0) return html`<p>No row gets any example wrong.</p>`;
  const { labels: names, labelWords } = all[0].runs[0].cell.task;
  const word = (label: string): string => labelWords[names.indexOf(label)] ?? label;
  const body = examples.map(({ id, wrong, difficulty }) =>
    html`<tr><td class="num">${id}</td>${
      known ? html`<td class="text">${known.get(id) ?? ""}</td>` : null
    }
<td>${word(labels.get(digest)!.get(id)!)}</td><td class="num">${
      Math.round(100 * difficulty)
    } %</td>${wrong.map((count, i) => errorCell(count, rows[i]))}</tr>`
  );
  const others = all.length - same.length;
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="Hardest sentences">
      <table class="hard">
        <thead>
          <tr><th scope="col">example</th>${known ? html`<th scope="col">text</th>` : null}
    <th scope="col">label</th><th scope="col">wrong</th>${rows.map(({ row }) =>
      html`<th scope="col" class="slant"><span>${row.approach}</span></th>`
    )}</tr>
        </thead>
        <tbody>${body}</tbody>
      </table>
    </div>
    <p class="note">Validation examples by the share of runs that get them wrong, every row counting the
    same. A cell is the number of a row's seeds that are wrong; empty where none is. ${note} ${others >
        0
      ? `${others} rows on other data, or without predictions, are left out.`
      : ""} ${known ? "" : "Texts are shown where the report is given the data: --data DIR."}</p>
  `;
}

function errorCell(count: number, { runs }: ReportRow): Markup {
  const share = Math.round(45 * count / runs.length);
  return html`
    <td class="err"
      style="background:color-mix(in srgb, var(--hue1) ${share}%, transparent)">${count === 0
        ? ""
        : runs.length === 1
        ? "✗"
        : `${count}/${runs.length}`}</td>
  `;
}
