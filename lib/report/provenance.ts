/**
 * What every run was made by and of, from its `run.json`, whatever that holds.
 *
 * @module
 */

import { html, type Markup } from "./html.ts";
import type { ReportRun } from "./read_runs.ts";

/** The values of an object by their paths, such as `cell.base.digest`; lists stay whole. */
export function flatten(value: unknown, path = ""): Map<string, string> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return new Map(
      Object.entries(value).flatMap(([key, inner]) => [
        ...flatten(inner, path === "" ? key : `${path}.${key}`),
      ]),
    );
  }
  return new Map([[path, typeof value === "string" ? value : JSON.stringify(value)]]);
}

/** The section's tables: what all runs share, and what tells them apart. */
export function provenance(runs: readonly ReportRun[]): Markup {
  const facts = runs.map(({ description }) => flatten(description));
  // What it was made by comes before the cell's many settings.
  const last = (path: string): number => path.startsWith("cell.") ? 1 : 0;
  const paths = [...new Set(facts.flatMap((own) => [...own.keys()]))]
    .sort((a, b) => last(a) - last(b));
  const shared = paths.filter((path) => facts.every((own) => own.get(path) === facts[0].get(path)));
  const varying = paths.filter((path) => !shared.includes(path) && path !== "id");
  return html`
    <table class="facts">
      <caption>Shared by all ${runs.length} runs</caption>
      <tbody>${shared.map((path) =>
        html`
          <tr>
            <th scope="row">${path}</th>
            <td><code>${facts[0].get(path)!}</code></td>
          </tr>
        `
      )}</tbody>
    </table>${runs.length === 1 ? null : html`
      <details>
        <summary>What tells the ${runs.length} runs apart (${varying
          .length} values of run.json)</summary>
        <div class="scroll" tabindex="0" role="region" aria-label="Runs">
          <table class="facts">
            <thead>
              <tr><th scope="col">run</th>${varying.map((path) =>
                html`<th scope="col">${path}</th>`
              )}</tr>
            </thead>
            <tbody>${runs.map(({ id }, i) =>
              html`<tr><th scope="row"><code>${id}</code></th>${
                varying.map((path) => html`<td>${facts[i].get(path) ?? ""}</td>`)
              }</tr>`
            )}</tbody>
          </table>
        </div>
      </details>
    `}
  `;
}
