/** Damaged ONNX files: what they say of themselves. */

import { openOnnxFolder } from "../../lib/infer/onnx_folder.ts";
import { buildModel } from "../../lib/models/index.ts";
import { ONNX_FILE, readOnnxMetadata, writeOnnx } from "../../lib/onnx/model_file.ts";
import { lowerScores } from "../../lib/sweep/export_onnx.ts";
import { TOKENIZER, TOKENIZER_CONFIG } from "../../lib/data/embedded/tokenizer.ts";
import { randomWeights } from "../../lib/train/initialize.ts";
import { bertConfig } from "../small_models.ts";
import { folderFor, fuzz, must } from "./check_reader.ts";
import { mutateBytes } from "./mutations.ts";

const dir = folderFor("onnx");
const config = { ...bertConfig, vocab_size: 8, num_hidden_layers: 1 };
const model = buildModel(config, { classes: 2, head: true });
await writeOnnx(dir, lowerScores(model, null), {
  values: randomWeights(model.scope.select(), 3),
  name: "small",
  version: "1.2.3",
  metadata: { labels: '["no","yes"]', prefix: "", max_length: "16", pad_id: "0" },
});
await Deno.writeTextFile(`${dir}/tokenizer.json`, JSON.stringify(TOKENIZER));
await Deno.writeTextFile(`${dir}/tokenizer_config.json`, JSON.stringify(TOKENIZER_CONFIG));
const whole = await Deno.readFile(`${dir}/${ONNX_FILE}`);
// The graph stands behind what is read here, and is ONNX Runtime's to read.
const head = whole.slice(0, 200);

fuzz({
  name: "metadata of an ONNX file",
  seeds: [whole, head.slice(0, headEnd())],
  mutate: mutateBytes,
  read: async (bytes) => {
    Deno.writeFileSync(`${dir}/${ONNX_FILE}`, bytes);
    const metadata = await readOnnxMetadata(`${dir}/${ONNX_FILE}`);
    must(Object.values(metadata).every((one) => typeof one === "string"), "metadata not texts");
    const { labels, maxLength } = await openOnnxFolder(dir);
    must(labels.length >= 2 && maxLength >= 1, "no labels or length");
  },
});

/** Where the fields that stand before the graph end. */
function headEnd(): number {
  const text = new TextDecoder("latin1").decode(head);
  return text.lastIndexOf("pad_id") + "pad_id".length + 3;
}
