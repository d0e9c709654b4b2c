/**
 * How an exported folder is opened, in Deno and in Python.
 *
 * @module
 */

import { EMBEDDED } from "./base.ts";
import type { CardFacts } from "./model_card.ts";

const SAMPLE = "a text to be classified";

/** The card's part on Deno. */
export function denoUse(facts: CardFacts): string {
  const { format, baseName, embedded, opened } = facts;
  const whole = format === "huggingface";
  const base = embedded ? EMBEDDED : opened ?? baseName.split("/").pop()!;
  const text = JSON.stringify(SAMPLE);
  if (format === "onnx") {
    return fence("ts", [
      'import { Tokenizer } from "npm:@huggingface/tokenizers";',
      'import * as ort from "npm:onnxruntime-node";',
      "",
      "const read = async (name: string) => JSON.parse(await Deno.readTextFile(name));",
      'const tokenizer = new Tokenizer(await read("tokenizer.json"), await read("tokenizer_config.json"));',
      `const { ids } = tokenizer.encode(${prefixed(facts)});`,
      "const int64 = (values: number[]) =>",
      '  new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);',
      'const session = await ort.InferenceSession.create("model.onnx");',
      "const { logits } = await session.run({",
      "  input_ids: int64(ids),",
      "  attention_mask: int64(ids.map(() => 1)),",
      "});",
      "console.log(logits.data); // one for each label, in class order",
    ]);
  }
  return `With this folder as \`FOLDER\`${
    whole || embedded || opened !== null
      ? ""
      : ` and the base's files (config.json, safetensors, tokenizer.json) as \`${base}\``
  }:\n\n${
    fence("ts", [
      'import { makeClassifier, openBase, openExport } from "jsr:@tunegrid/tunegrid";',
      "",
      whole
        ? 'const tuned = await openExport("FOLDER");'
        : `const tuned = await openExport("FOLDER", await openBase(${JSON.stringify(base)}));`,
      "await using classifier = makeClassifier(tuned);",
      `const [{ label, probabilities }] = await classifier.predict([${text}]);`,
      "console.log(label, probabilities);",
    ])
  }`;
}

/** The card's part on Python. */
export function pythonUse(facts: CardFacts): string {
  const { format, family, textToText, baseName, description: { cell }, maxLength } = facts;
  const labels = pythonList(cell.task.labels);
  if (format === "safetensors") {
    return "These files are Tunegrid's own. For Python, export the run again with `--to peft`, " +
      "`--to adapterhub` or `--to huggingface`, or with `--to onnx` for every method. The tensors " +
      "alone are read by safetensors:\n\n" + fence("python", [
        "from safetensors.numpy import load_file",
        "",
        'tensors = load_file("FOLDER/delta.safetensors")',
      ]);
  }
  if (format === "onnx") {
    return fence("python", [
      "import numpy as np",
      "import onnxruntime as ort",
      "from transformers import AutoTokenizer",
      "",
      'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
      'session = ort.InferenceSession("FOLDER/model.onnx")',
      `inputs = tokenizer(${
        prefixed(facts)
      }, truncation=True, max_length=${maxLength}, return_tensors="np")`,
      'names = ["input_ids", "attention_mask"]',
      "[logits] = session.run(None, {name: inputs[name].astype(np.int64) for name in names})",
      `print(${labels}[logits[0].argmax()])`,
    ]);
  }
  const head = family === "t5"
    ? "AutoModelForTokenClassification"
    : "AutoModelForSequenceClassification";
  const auto = textToText ? "AutoModelForSeq2SeqLM" : head;
  const whole = format === "huggingface";
  const from = JSON.stringify(whole ? "FOLDER" : baseName);
  const sizes = whole || textToText ? "" : `, num_labels=${cell.task.labels.length}` +
    (family === "t5" ? "" : `, pad_token_id=${facts.padId}`);
  return fence("python", [
    "import torch",
    ...format === "peft" ? ["from peft import PeftModel"] : [],
    ...format === "adapterhub" ? ["import adapters"] : [],
    `from transformers import ${auto}, AutoTokenizer`,
    "",
    `tokenizer = AutoTokenizer.from_pretrained(${from})`,
    `model = ${auto}.from_pretrained(${from}${sizes})`,
    ...format === "peft" ? ['model = PeftModel.from_pretrained(model, "FOLDER")'] : [],
    ...format === "adapterhub"
      ? ["adapters.init(model)", 'model.load_adapter("FOLDER", set_active=True)']
      : [],
    "model.eval()",
    `inputs = tokenizer(${
      prefixed(facts)
    }, truncation=True, max_length=${maxLength}, return_tensors="pt")`,
    "with torch.no_grad():",
    ...scoring(facts),
    `print(${labels}[logits.argmax()])`,
  ]);
}

/** Lines that end in `logits`, one for each label. */
function scoring({ textToText, family, description: { cell } }: CardFacts): string[] {
  if (textToText) {
    return [
      `    words = ${pythonList(cell.task.labelWords)}`,
      "    first = [tokenizer(word, add_special_tokens=False).input_ids[0] for word in words]",
      "    start = torch.tensor([[model.config.decoder_start_token_id]])",
      "    logits = model(**inputs, decoder_input_ids=start).logits[0, 0, first]",
    ];
  }
  // The head is linear: the mean of the tokens' logits is the logits of the states' mean.
  return family === "t5"
    ? ["    logits = model(**inputs).logits[0].mean(0)  # the mean over the text's tokens"]
    : ["    logits = model(**inputs).logits[0]"];
}

function prefixed({ description: { cell } }: CardFacts): string {
  return JSON.stringify(cell.task.prefix + SAMPLE);
}

const pythonList = (texts: readonly string[]) => JSON.stringify(texts).replaceAll('","', '", "');

function fence(language: string, lines: readonly string[]): string {
  return `\`\`\`${language}\n${lines.join("\n")}\n\`\`\``;
}
