/**
 * Model cards: `README.md` with the YAML header of the Hugging Face Hub, written from a run.
 *
 * @module
 */

import { bytesText } from "../formats/bytes_text.ts";
import type { SplitMetrics } from "../train/metrics.ts";
import { wilson } from "../stats/wilson.ts";
import { EMBEDDED } from "./base.ts";
import { denoUse, pythonUse } from "./card_use.ts";
import type { ExportFormat } from "./export.ts";
import type { RunDescription, RunResult, RunTimes } from "./run_folder.ts";
import { settingFlags, settingText } from "./setting_text.ts";

/** What a card is written from. */
export interface CardFacts {
  readonly description: RunDescription;
  readonly result: RunResult;
  readonly times: RunTimes | null;
  readonly format: ExportFormat;
  readonly merged: boolean;
  /** The base's id on the Hub, or its folder's name. */
  readonly baseName: string;
  /** Whether the base is the one that comes with this project. */
  readonly embedded: boolean;
  /** What `openBase` takes for the base on any machine; null where it is a folder's name. */
  readonly opened: string | null;
  readonly family: string;
  /** Whether the model answers in label words. */
  readonly textToText: boolean;
  readonly method: { readonly name: string; readonly label: string; readonly trains: string };
  /** Tokens after which a text is cut. */
  readonly maxLength: number;
  readonly padId: number;
  /** What the writer of the files has to say of them. */
  readonly notes: readonly string[];
}

const LIBRARIES: Readonly<Record<ExportFormat, string>> = {
  onnx: "onnx",
  peft: "peft",
  adapterhub: "adapters",
  safetensors: "tunegrid",
  huggingface: "transformers",
};

const CONTENTS: Readonly<Record<ExportFormat, string>> = {
  onnx: "the whole model as an ONNX graph, with its tokenizer",
  peft: "what was trained, as PEFT (huggingface/peft) saves it; the base is not in it",
  adapterhub:
    "what was trained, as adapters (adapter-hub/adapters) saves it; the base is not in it",
  safetensors: "what was trained, in Tunegrid's own terms; the base is not in it",
  huggingface: "the whole model, as transformers saves it, with its tokenizer",
};

/** A run's card: YAML header, then every section filled from the run. */
export function modelCard(facts: CardFacts): string {
  const { description, format, merged, method, baseName } = facts;
  const { cell } = description;
  const sections = [
    `# ${title(facts)}`,
    `A text classifier for ${cell.task.labels.map((one) => `\`${one}\``).join(", ")}: ${
      code(baseName)
    } tuned on ${code(cell.data.name)} by ${method.label}. This folder holds ${CONTENTS[format]}${
      merged ? "; the delta is merged into the weights" : ""
    }. It was trained and written by [Tunegrid](https://jsr.io/@tunegrid/tunegrid).`,
    "## Base and method",
    methodTable(facts),
    ...facts.notes.map((note) => `${note}.`),
    "## Data",
    dataTable(facts),
    "## Results",
    results(facts),
    "## Size and cost",
    costTable(facts),
    "## Use in Deno",
    denoUse(facts),
    "## Use in Python",
    pythonUse(facts),
    "## Limits",
    limits(facts),
  ];
  return `---\n${yaml(header(facts))}---\n\n${sections.join("\n\n")}\n`;
}

function title({ method, baseName, description }: CardFacts): string {
  return `${method.label}: ${baseName.split("/").pop()} on ${description.cell.data.name}`;
}

const code = (text: string) => `\`${text}\``;

function table(rows: readonly (readonly [string, string])[]): string {
  const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");
  return [["", ""], ["---", "---"], ...rows]
    .map(([name, value]) => `| ${cell(name)} | ${cell(value)} |`).join("\n");
}

function methodTable(
  { description: { cell }, baseName, method, textToText }: CardFacts,
): string {
  const { settings } = cell;
  const options = Object.entries(cell.method.options).map(([key, value]) => `${key} ${value}`);
  const rows: [string, string][] = [
    ["Base", code(baseName)],
    ["Digest of the base's configuration and weights", code(cell.base.digest)],
    ["Digest of its tokenizer", code(cell.tokenizer.digest)],
    ["Method", `${method.label} (${code(method.name)})`],
    ...options.length === 0 ? [] : [["Its options", options.join(", ")] as [string, string]],
    ["What of the base trains", trainsText(method.trains, textToText)],
  ];
  if (method.trains !== "nothing") {
    for (const [flag, key] of Object.entries(settingFlags)) {
      rows.push([`Setting ${flag}`, settingText(settings[key])]);
    }
    rows.push(["Betas and epsilon of AdamW", `${settings.betas.join(", ")}; ${settings.eps}`]);
  }
  if (cell.start !== undefined) {
    rows.push(["Started from", `${code(cell.start.name)}, digest ${code(cell.start.digest)}`]);
  }
  rows.push(["Seed", `${cell.seed}`], ["Precision", cell.precision]);
  return table(rows);
}

function trainsText(trains: string, textToText: boolean): string {
  if (trains === "all") return "everything";
  const head = textToText ? [] : ["its classification head"];
  if (trains === "biases") return ["every bias", ...head].join(" and ");
  return trains === "nothing" || textToText ? "nothing" : head.join();
}

function dataTable({ description: { cell }, maxLength, textToText }: CardFacts): string {
  const { data, task } = cell;
  const words = textToText
    ? task.labels.map((label, i) => `${label} as "${task.labelWords[i]}"`)
    : task.labels;
  return table([
    [
      "Name",
      data.name === EMBEDDED
        ? `${code(data.name)}, sentences of Tunegrid's own grammar`
        : code(data.name),
    ],
    ["Digest of the examples as read", code(data.digest)],
    ["Splits", data.splits],
    [
      "Training examples",
      data.trainSize === null ? "all" : `${data.trainSize}, drawn stratified by the seed`,
    ],
    ["Repeated and leaking examples", data.dedupe ? "removed from training" : "kept"],
    ["Columns", `text: ${columnText(data.columns.text)}, label: ${columnText(data.columns.label)}`],
    ["Labels, in class order", words.join(", ")],
    ["Put before every text", task.prefix === "" ? "nothing" : code(task.prefix)],
    ["Cut after", `${maxLength} tokens`],
  ]);
}

const columnText = (name: string) => name === "default" ? "as usual for its form" : code(name);

function results({ result, description: { cell } }: CardFacts): string {
  const names = Object.keys(result.splits);
  const heads = ["split", "examples", "accuracy", "95 % interval", "F1", "macro F1", "precision"];
  const rows = names.map((name) => {
    const split = result.splits[name];
    const right = Math.round(split.accuracy * split.examples);
    const { lower, upper } = wilson(right, split.examples);
    const shares = [split.f1, split.macro.f1, split.precision, split.recall].map(percent);
    return [
      name,
      `${split.examples}`,
      percent(split.accuracy),
      `${percent(lower)} to ${percent(upper)}`,
      ...shares,
      split.loss.toFixed(4),
    ];
  });
  const columns = [...heads, "recall", "loss"];
  const lines = [columns, columns.map(() => "---"), ...rows]
    .map((row) => `| ${row.join(" | ")} |`);
  const { labels } = cell.task;
  const positive = labels.length === 2
    ? `F1, precision and recall are those of class \`${labels[1]}\``
    : "F1, precision and recall are unweighted means over the classes";
  return `${lines.join("\n")}\n\nIn percent; the interval is Wilson's for the accuracy, and does ` +
    `not say how much another seed would change. ${positive}. ${keptText(result)}`;
}

const percent = (share: number) => (100 * share).toFixed(2);

function keptText({ kept, best, last }: RunResult): string {
  if (kept.epoch === 0) return "Nothing was trained.";
  const chosen = kept.epoch === last.epoch
    ? `The weights are those of the last epoch, ${kept.epoch}`
    : `The weights are those of epoch ${kept.epoch} of ${last.epoch}, chosen on the validation ` +
      "split, whose numbers are therefore a little too good";
  return `${chosen}; the highest validation accuracy of an epoch was ${
    percent(best.accuracy)
  } (epoch ${best.epoch}).`;
}

function costTable({ result, times, description }: CardFacts): string {
  const { environment, cell, id } = description;
  const { total, trainable } = result.parameters;
  const whole = (count: number) => count.toLocaleString("en");
  return table([
    ["Parameters", whole(total)],
    ["Of them trained", `${whole(trainable)} (${(100 * trainable / total).toPrecision(3)} %)`],
    ["Memory on the device, as planned", bytesText(result.planned.peakBytes)],
    ["Adapter", environment.adapter?.name ?? "none"],
    [
      "Time",
      times === null ? "not measured" : `${times.seconds.toFixed(1)} s with evaluation` +
        (times.msPerStep === null ? "" : `, ${times.msPerStep.toFixed(1)} ms a step`) +
        (times.sharedBy === undefined ? "" : `; its share of a program of ${times.sharedBy} runs`),
    ],
    ["Tunegrid", `${environment.package}, numerics version ${cell.version}`],
    ["Deno", `${environment.deno} (V8 ${environment.v8})`],
    ["Numerics fingerprint of the adapter", code(environment.adapter?.probe ?? "none")],
    ["Run", code(id)],
  ]);
}

function limits(facts: CardFacts): string {
  const { description: { cell }, result, embedded, baseName, textToText } = facts;
  const items = [
    `It tells ${cell.task.labels.length} classes apart and nothing else, on texts like those of ${
      code(cell.data.name)
    }; on others its answers were not measured, and it always gives one of its classes.`,
    `Texts are cut after ${facts.maxLength} tokens${
      cell.task.prefix === "" ? "" : `, the prefix ${code(cell.task.prefix)} included`
    }.`,
    "Its scores were not calibrated: they order answers, and are no frequencies.",
    `One seed (${cell.seed}) was trained for this folder; accuracies of other seeds differ.`,
    "What the base and the data are biased towards, this is too; their licences hold for it.",
  ];
  if (textToText) {
    items.push(
      "It answers by comparing label words at the decoder's first position; text that it would " +
        "generate freely was not measured.",
    );
  }
  if (result.head === "seeded") {
    items.push(
      "The base has no classification head of its own: it was drawn by the seed before training.",
    );
  }
  if (embedded) {
    items.push(
      `${
        code(baseName)
      } is the small base that comes with Tunegrid, made for trying it out. Python ` +
        "finds no model of that name: export a zero-shot run of it with `--to huggingface` and put " +
        "that folder's name in its place.",
    );
  }
  if (result.note !== null && result.note !== undefined) items.push(`${result.note}.`);
  return items.map((item) => `- ${item}`).join("\n");
}

type Yaml = string | number | readonly Yaml[] | { readonly [key: string]: Yaml };

function header(facts: CardFacts): { readonly [key: string]: Yaml } {
  const { description: { cell, id }, format, baseName, method, result } = facts;
  const dataset = cell.data.name;
  return {
    library_name: LIBRARIES[format],
    base_model: baseName,
    pipeline_tag: "text-classification",
    tags: ["text-classification", "tunegrid", method.name],
    datasets: [dataset],
    metrics: ["accuracy", "f1", "precision", "recall"],
    "model-index": [{
      name: `${method.name}-${id}`,
      results: Object.entries(result.splits).map(([split, measured]) => ({
        task: { type: "text-classification", name: "Text classification" },
        dataset: { name: dataset, type: dataset, split },
        metrics: cardMetrics(measured),
      })),
    }],
  };
}

function cardMetrics({ accuracy, f1, precision, recall, loss }: SplitMetrics): Yaml {
  const named = { accuracy, f1, precision, recall, loss };
  return Object.entries(named).map(([type, value]) => ({ type, value: +value.toFixed(6) }));
}

/** Block YAML; texts are quoted as JSON quotes them, which YAML reads the same. */
function yaml(value: { readonly [key: string]: Yaml }, indent = ""): string {
  return Object.entries(value).map(([key, one]) => {
    if (typeof one !== "object") return `${indent}${key}: ${JSON.stringify(one)}\n`;
    if (!Array.isArray(one)) {
      return `${indent}${key}:\n${yaml(one as { readonly [key: string]: Yaml }, `${indent}  `)}`;
    }
    const items = (one as readonly Yaml[]).map((item) => {
      if (typeof item !== "object") return `${indent}  - ${JSON.stringify(item)}\n`;
      const inner = yaml(item as { readonly [key: string]: Yaml }, `${indent}    `);
      return `${indent}  - ${inner.slice(indent.length + 4)}`;
    });
    return `${indent}${key}:\n${items.join("")}`;
  }).join("");
}
