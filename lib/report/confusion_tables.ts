import { html, type Markup } from "./html.ts";
import { chooseRows, type ReportRow } from "./report_rows.ts";

/** Rows and classes that there is room for. */
const [MOST_ROWS, MOST_CLASSES] = [24, 12];

/** Confusion matrices, counted over all seeds of a row; labels down, predictions across. */
export function confusionTables(all: readonly ReportRow[]): Markup {
  const { rows, note } = chooseRows(all, MOST_ROWS);
  return html`<div class="matrices">${rows.map(matrix)}</div>
<p class="note">Validation examples by their label (down) and prediction (across), counted over all
seeds of a row, with the weights that are kept; shaded by the share of the label. ${note}</p>`;
}

function matrix({ row, runs }: ReportRow): Markup {
  const { labels, labelWords } = runs[0].cell.task;
  const names = labels.map((label, i) => labelWords[i] ?? label);
  const counts = labels.map((_, i) =>
    labels.map((_, j) => runs.reduce((sum, { result }) => sum + result!.kept.confusion[i][j], 0))
  );
  if (labels.length > MOST_CLASSES) return confused(row.approach, names, counts);
  const lines = counts.map((line, i) => {
    const total = line.reduce((sum, count) => sum + count, 0);
    return html`<tr><th scope="row">${names[i]}</th>${
      line.map((count, j) => {
        const share = total === 0 ? 0 : count / total;
        const hue = i === j ? "var(--hue0)" : "var(--hue1)";
        const fill = `color-mix(in srgb, ${hue} ${Math.round(share * 45)}%, transparent)`;
        return html`<td style="background:${fill}">${count}<small>${
          Math.round(100 * share)
        } %</small></td>`;
      })
    }</tr>`;
  });
  return html`
    <table class="matrix">
      <caption>${row.approach}</caption>
      <thead>
        <tr><td></td>${names.map((name) => html`<th scope="col">${name}</th>`)}</tr>
      </thead>
      <tbody>${lines}</tbody>
    </table>
  `;
}

/** Of many classes, those that are most often taken for another. */
function confused(
  approach: string,
  names: readonly string[],
  counts: readonly (readonly number[])[],
): Markup {
  const pairs = counts.flatMap((line, i) =>
    line.map((count, j) => ({ count, label: names[i], prediction: names[j], wrong: i !== j }))
  ).filter(({ count, wrong }) => wrong && count > 0).sort((a, b) => b.count - a.count).slice(0, 8);
  return html`
    <table class="matrix">
      <caption>${approach}: most often confused</caption>
      <thead>
        <tr>
          <th scope="col">label</th>
          <th scope="col">taken for</th>
          <th scope="col">times</th>
        </tr>
      </thead>
      <tbody>${pairs.map(({ count, label, prediction }) =>
        html`
          <tr>
            <td>${label}</td>
            <td>${prediction}</td>
            <td>${count}</td>
          </tr>
        `
      )}</tbody>
    </table>
  `;
}
