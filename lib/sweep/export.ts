/**
 * A finished run as a folder for others: ONNX Runtime, PEFT, adapters, transformers, or this project
 * on another machine.
 *
 * @module
 */

import { TOKENIZER, TOKENIZER_CONFIG } from "../data/embedded/tokenizer.ts";
import { adapterHubFiles, writeAdapterHub } from "../formats/adapterhub_writer.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { isFile, readJsonFile } from "../formats/huggingface.ts";
import { ioReason } from "../formats/io_error.ts";
import { writeModel } from "../formats/model_writer.ts";
import { type OwnFacts, writeOwnDelta } from "../formats/own_delta.ts";
import { peftFiles, writePeft } from "../formats/peft_writer.ts";
import { mergeMethod } from "../peft/merge.ts";
import { baseFacts, tensorsOf, trainedAlone, trainedDelta } from "../train/trained_delta.ts";
import { EMBEDDED } from "./base.ts";
import { modelCard } from "./model_card.ts";
import { parseHubBase } from "./references.ts";
import type { RunDescription } from "./run_folder.ts";
import type { Tuned } from "./tuned.ts";

/** What a run can be exported to. */
export const exportFormats = ["onnx", "peft", "adapterhub", "safetensors", "huggingface"] as const;

/** One of them. */
export type ExportFormat = typeof exportFormats[number];

/** How a run is exported. */
export interface ExportOptions {
  /** What it is to be. */
  readonly to: ExportFormat;
  /** The folder; it must not be there yet, or be empty. */
  readonly out: string;
  /** Whether the delta is merged into the base's weights; for `onnx` and `huggingface`. */
  readonly merged?: boolean;
  /** Whether an earlier export in `out` is replaced. */
  readonly force?: boolean;
  /** The base's id on the Hugging Face Hub; its folder's name unless given. */
  readonly baseName?: string;
}

/** Stands in every folder that was exported: what the run was, for programs. */
export const FACTS = "run.tunegrid.json";

/** Files that a tokenizer may be made of. */
const TOKENIZER_FILES = [
  "added_tokens.json",
  "merges.txt",
  "sentencepiece.bpe.model",
  "special_tokens_map.json",
  "spiece.model",
  "tokenizer.json",
  "tokenizer.model",
  "tokenizer_config.json",
  "vocab.json",
  "vocab.txt",
];

/**
 * Exports a run. Everything is written to `OUT.partial` first, which takes the place of `OUT` when it
 * is whole.
 *
 * @returns The names of the files, sorted.
 * @throws TypeError where the format has nothing that computes the same, Error where `out` holds
 *   something already or cannot be written; `out` is then as it was.
 */
export async function exportRun(tuned: Tuned, options: ExportOptions): Promise<string[]> {
  const out = options.out.replace(/(?<=.)\/+$/, "");
  checkMerged(tuned, options);
  await checkOut(out, options.force ?? false);
  const partial = `${out}.partial`;
  try {
    await Deno.remove(partial, { recursive: true }).catch(passMissing);
    await Deno.mkdir(partial, { recursive: true });
    const description = await readJsonFile(`${tuned.folder}/run.json`) as unknown as RunDescription;
    const baseName = options.baseName ?? parseHubBase(tuned.base.place)?.id ??
      tuned.cell.base.name;
    const notes = await writeFormat(partial, tuned, { ...options, baseName });
    await writeFileAtomic(
      `${partial}/${FACTS}`,
      JSON.stringify(
        { format: options.to, merged: options.merged ?? false, ...description },
        null,
        2,
      ) +
        "\n",
    );
    const { model, method, options: methodOptions, run } = tuned;
    await writeFileAtomic(
      `${partial}/README.md`,
      modelCard({
        ...{ description, notes, baseName, maxLength: tuned.maxLength },
        result: run.result!,
        times: run.times,
        format: options.to,
        merged: options.merged ?? false,
        embedded: tuned.base.place === EMBEDDED,
        opened: parseHubBase(tuned.base.place) === null ? null : tuned.base.place,
        method: { name: method.name, label: method.label(methodOptions), trains: method.trains },
        family: model.family,
        textToText: model.textToText !== undefined,
        padId: tuned.tokenizer.padId,
      }),
    );
    const files = (await Array.fromAsync(Deno.readDir(partial))).map(({ name }) => name).sort();
    await Deno.remove(out, { recursive: true }).catch(passMissing);
    await Deno.rename(partial, out);
    return files;
  } catch (error) {
    await Deno.remove(partial, { recursive: true }).catch(() => {});
    if (error instanceof Error && error.message.startsWith("Cannot ")) throw error;
    throw new Error(`Cannot export to ${out}: ${ioReason(error)}`, { cause: error });
  }
}

function passMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

function checkMerged({ method, attached }: Tuned, { to, merged = false }: ExportOptions): void {
  if (merged && to !== "onnx" && to !== "huggingface") {
    throw new TypeError(
      `Cannot export to ${to} merged: it holds the delta alone; leave --merged out, or use ` +
        "--to huggingface or --to onnx",
    );
  }
  const apart = attached.delta.select().length > 0;
  if (to !== "huggingface" || !apart || (merged && method.merge !== undefined)) return;
  throw new TypeError(
    `Cannot export ${method.name} to huggingface: ${
      method.merge === undefined
        ? "it changes more than weights and cannot be merged; use"
        : "its delta stands beside the base; use --merged, or"
    } --to ${method.name === "adapter" ? "adapterhub" : "peft"}, onnx or safetensors`,
  );
}

/** Refuses a folder that holds something, unless it is an export that may be replaced. */
async function checkOut(out: string, force: boolean): Promise<void> {
  let names: string[];
  try {
    names = (await Array.fromAsync(Deno.readDir(out))).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw new Error(`Cannot export to ${out}: ${ioReason(error)}`, { cause: error });
  }
  if (names.length === 0) return;
  if (!force) {
    throw new Error(
      `Cannot export to ${out}: it is not empty; choose another folder, or replace an earlier ` +
        "export with --force",
    );
  }
  if (names.includes(FACTS)) return;
  throw new Error(
    `Cannot export to ${out}: it holds something else than an export (no ${FACTS}), which --force ` +
      "does not remove; choose another folder",
  );
}

/** Writes a format's files. @returns What the card should say of them. */
async function writeFormat(
  dir: string,
  tuned: Tuned,
  { to, merged = false, baseName }: ExportOptions & { readonly baseName: string },
): Promise<readonly string[]> {
  const { model, method, options, values, labels, config, tokenizer, attached } = tuned;
  const facts = baseFacts(baseName, config, model, labels);
  switch (to) {
    case "onnx": {
      const { exportOnnx } = await import("./export_onnx.ts");
      const { opset } = await exportOnnx(tuned, dir, { merged });
      await copyTokenizer(tuned, dir);
      return [`The graph is written for ONNX operator set ${opset}; batch and length are dynamic`];
    }
    case "peft": {
      const files = peftFiles(trainedDelta(tuned), facts);
      await writePeft(dir, files);
      return files.notes;
    }
    case "adapterhub": {
      const files = adapterHubFiles(trainedDelta(tuned), facts, ADAPTER);
      await writeAdapterHub(dir, files);
      return files.notes;
    }
    case "safetensors":
      await writeOwnDelta(dir, trainedAlone(tuned), ownFacts(tuned, baseName));
      return [];
    case "huggingface": {
      const merge = merged && attached.delta.select().length > 0;
      const whole = merge ? mergeMethod(model, method, options, values) : values;
      await writeModel(dir, facts, tensorsOf(model.scope.select(), whole), tokenizer.padId);
      await copyTokenizer(tuned, dir);
      return merge
        ? ["The delta is merged into the base's weights, in 64-bit arithmetic, rounded once"]
        : [];
    }
  }
}

/** The adapter's name in adapters' files. */
const ADAPTER = "tunegrid";

function ownFacts({ cell, maxLength }: Tuned, name: string): OwnFacts {
  return {
    base: { name, digest: cell.base.digest },
    tokenizer: cell.tokenizer,
    task: { ...cell.task, maxLength },
  };
}

async function copyTokenizer({ base }: Tuned, dir: string): Promise<void> {
  if (base.place === EMBEDDED) {
    const files = { "tokenizer.json": TOKENIZER, "tokenizer_config.json": TOKENIZER_CONFIG };
    for (const [name, content] of Object.entries(files)) {
      await writeFileAtomic(`${dir}/${name}`, JSON.stringify(content) + "\n");
    }
    return;
  }
  for (const name of TOKENIZER_FILES) {
    if (await isFile(`${base.folder}/${name}`)) {
      await Deno.copyFile(`${base.folder}/${name}`, `${dir}/${name}`);
    }
  }
}
