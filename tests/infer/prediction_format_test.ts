import { assertEquals } from "@std/assert";
import { parse } from "@std/csv/parse";
import { predictionWriter, type TextPrediction } from "../../lib/infer/prediction_format.ts";

const labels = ["no", "yes, of course"];
const predictions: TextPrediction[] = [
  { text: 'she said "well", twice', label: "no", probabilities: [0.75, 0.25] },
  { text: "schön 🎬 and rather long", label: "yes, of course", probabilities: [1 / 3, 2 / 3] },
];

function written(format: "table" | "csv" | "jsonl", width?: number): string {
  const writer = predictionWriter(format, labels, width);
  return writer.head + predictions.map((one) => writer.line(one)).join("");
}

Deno.test("a table is aligned, its texts last and cut to the terminal", () => {
  assertEquals(
    written("table"),
    `label               no  yes, of course  text
no              0.7500          0.2500  she said "well", twice
yes, of course  0.3333          0.6667  schön 🎬 and rather long
`,
  );
  const cut = written("table", 60).trimEnd().split("\n");
  assertEquals(cut[2], "yes, of course  0.3333          0.6667  schön 🎬 and rather…");
  assertEquals(cut[1].endsWith('she said "well", tw…'), true);
});

Deno.test("CSV and JSON lines are read back as they were", () => {
  const rows = parse(written("csv"), { skipFirstRow: true });
  assertEquals(rows, [
    {
      text: 'she said "well", twice',
      label: "no",
      "probability no": "0.75",
      "probability yes, of course": "0.25",
    },
    {
      text: "schön 🎬 and rather long",
      label: "yes, of course",
      "probability no": "0.3333333",
      "probability yes, of course": "0.6666667",
    },
  ]);
  assertEquals(written("jsonl").trimEnd().split("\n").map((line) => JSON.parse(line)), [
    { text: predictions[0].text, label: "no", probabilities: { no: 0.75, [labels[1]]: 0.25 } },
    {
      text: predictions[1].text,
      label: labels[1],
      probabilities: { no: 0.3333333, [labels[1]]: 0.6666667 },
    },
  ]);
});
