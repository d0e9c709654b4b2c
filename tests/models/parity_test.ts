/** The models against numbers that other software computed, under the golden data's tolerances. */

import { assert, assertEquals } from "@std/assert";
import { openGpu } from "../../lib/gpu/device.ts";
import { checkParity } from "../../lib/parity/parity.ts";
import { reportText } from "../../lib/parity/report.ts";
import { fixtureTest } from "../fixtures.ts";

const t5 = [
  "",
  "lora",
  "prompt_tuning",
  "prefix_tuning",
  "ia3",
  "adapter_ffn",
  "adapter_seq_bn",
  "opendelta_adapter",
];
const folders = {
  t5,
  t5_v1_1: t5,
  bert: [...t5, "head"],
  gpt2: [...t5, "head", "prompt_tuning_padded"],
  llama: [...t5, "head", "prompt_tuning_padded"],
};

/** Tensors that some folders expect at least, so that an empty check cannot pass. */
const expected = (family: string, method: string): string[] => [
  "logits",
  "loss",
  "train.losses",
  "train.final_logits",
  ...method === "head" ? [] : [family.startsWith("t5") ? "decoder_hidden.2" : "hidden.2"],
  ...method === "" ? [family.startsWith("t5") ? "cross_attention.1" : "attention.1"] : [],
];

for (const [family, methods] of Object.entries(folders)) {
  fixtureTest(`${family} agrees with its golden folders`, async (fixtures) => {
    const gpu = await openGpu();
    try {
      for (const method of methods) {
        const dir = `${fixtures}/golden/${family}${method === "" ? "" : `/${method}`}`;
        const result = await checkParity(gpu, dir);
        assert(result.ok, reportText(result));
        const names = result.rows.map(({ name }) => name);
        for (const name of expected(family, method)) {
          assert(names.includes(name), `${dir}: ${name}`);
        }
        const check = JSON.parse(await Deno.readTextFile(`${dir}/check.json`));
        assertEquals(result.counts.trainable, check.parameters_trainable, dir);
        const gradients = names.filter((name) => name.startsWith("grad."));
        const finals = names.filter((name) => name.startsWith("final."));
        assertEquals(gradients.length, finals.length);
        assert(gradients.length > 0, dir);
      }
    } finally {
      gpu.destroy();
    }
  });
}
