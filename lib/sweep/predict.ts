/**
 * The command that asks a finished run: texts in, labels and probabilities out.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { cleanedText, readTexts } from "../data/text_stream.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { ioReason } from "../formats/io_error.ts";
import { type Backend, backends, chooseBackend } from "../infer/backend.ts";
import { openOnnxFolder } from "../infer/onnx_folder.ts";
import { type Predictor, predictTexts } from "../infer/predict.ts";
import {
  type PredictionFormat,
  predictionFormats,
  predictionWriter,
} from "../infer/prediction_format.ts";
import { type OnnxProvider, onnxProviders } from "../infer/session.ts";
import { findRun } from "./find_run.ts";
import { openTuned } from "./tuned.ts";
import { tunedPredictor } from "./tuned_scorer.ts";

/** What `--help` prints. */
export const predictUsage = `Classifies texts with a finished run, on a GPU or without one.

  deno task predict --run ID|DIR "a sentence" ...
  deno task predict --run ID|DIR --file FILE          one text on each line
  deno task predict --run ID|DIR --file FILE --column NAME     CSV or TSV, plain or .gz
  deno task predict --run ID|DIR < FILE               from standard input
  deno task predict --model DIR ...                   an exported folder: model.onnx, tokenizer.json

  --run ID|DIR          a run's folder, its id or the beginning of it (as in table.csv)
  --runs DIR            where ids are looked for (runs)
  --base DIR            the run's base; by default where the run found it
  --format table|csv|jsonl   table on a terminal, csv elsewhere or by the ending of --out
  --out FILE            write there, whole or not at all, instead of printing
  --backend auto|webgpu|ort  auto: a real GPU, and ONNX Runtime where there is none (auto)
  --provider cpu|webgpu      what ONNX Runtime computes with (cpu)
  --batch N             texts of a batch (32)`;

const named = [
  ...["run", "runs", "base", "model", "file", "column", "format", "out", "backend", "provider"],
  "batch",
] as const;

interface PredictArguments {
  readonly sentences: readonly string[];
  readonly run?: string;
  readonly runs: string;
  readonly base?: string;
  readonly model?: string;
  readonly file?: string;
  readonly column?: string;
  readonly format?: PredictionFormat;
  readonly out?: string;
  readonly backend: Backend | "auto";
  readonly provider?: OnnxProvider;
  readonly batch: number;
}

/**
 * Predicts what a command line asks for.
 *
 * @returns The exit code: 0 where every text was classified, or nobody reads on; 1 elsewhere.
 */
export async function predictMain(args: readonly string[]): Promise<number> {
  try {
    const asked = parse(args);
    if (asked === null) console.log(predictUsage);
    else await predict(asked);
    return 0;
  } catch (error) {
    // Whoever read the output, as head does, has had enough.
    if (error instanceof Deno.errors.BrokenPipe) return 0;
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    return 1;
  }
}

async function predict(asked: PredictArguments): Promise<void> {
  const { out, batch } = asked;
  const terminal = out === undefined && Deno.stdout.isTerminal();
  const format = asked.format ??
    (terminal ? "table" : out?.endsWith(".jsonl") ? "jsonl" : "csv");
  const source = await openSource(asked);
  const { predictor, reason } = await openPredictor(asked);
  const width = terminal ? Deno.consoleSize().columns : undefined;
  const writer = predictionWriter(format, predictor.labels, width);
  let count = 0;
  const text = async function* (): AsyncGenerator<string> {
    let head = writer.head;
    const predictions = predictTexts(predictor, source.texts, {
      batch,
      onOpen: ({ name }) => console.error(`Scored by ${name}: ${reason}`),
      onEnd: (texts, cut) => {
        count = texts;
        if (cut > 0) {
          console.error(
            `${cut} of ${texts} texts are longer than ${predictor.maxLength} tokens and were cut`,
          );
        }
      },
    });
    for await (const prediction of predictions) {
      yield head + writer.line(prediction);
      head = "";
    }
    if (count === 0) throw new RangeError(`Cannot predict: there is no text in ${source.name}`);
  };
  if (out === undefined) await print(text());
  else await write(out, text());
}

/** Prints texts as they come. */
async function print(texts: AsyncIterable<string>): Promise<void> {
  for await (const piece of encoded(texts)) {
    for (let done = 0; done < piece.length;) done += await Deno.stdout.write(piece.subarray(done));
  }
}

/** Writes texts to a file, which is there when all have come. */
async function write(path: string, texts: AsyncIterable<string>): Promise<void> {
  let failure: unknown = null;
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* encoded(texts);
    } catch (error) {
      failure = error;
      throw error;
    }
  };
  try {
    await writeFileAtomic(path, pieces());
  } catch (error) {
    throw failure ?? error; // what is wrong with the texts is not the file's fault
  }
}

/** Bytes of texts, in UTF-8. */
async function* encoded(texts: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for await (const text of texts) yield encoder.encode(text);
}

interface Source {
  /** For error messages. */
  readonly name: string;
  readonly texts: AsyncIterable<string>;
}

async function openSource({ sentences, file, column }: PredictArguments): Promise<Source> {
  if (sentences.length > 0) {
    const cleaned = sentences.map((text, i) => cleanedText(text, "the command line", i + 1));
    return { name: "the command line", texts: asyncly(cleaned) };
  }
  if (file === undefined) {
    if (Deno.stdin.isTerminal()) {
      throw new TypeError(
        "Cannot predict: no text is given; use a sentence in quotes, --file FILE or standard input",
      );
    }
    const name = "standard input";
    return { name, texts: readTexts(Deno.stdin.readable, { file: name, column }) };
  }
  const plain = file.replace(/\.gz$/, "");
  const format = plain.endsWith(".tsv") ? "tsv" : plain.endsWith(".csv") ? "csv" : undefined;
  if (format !== undefined && column === undefined) {
    throw new TypeError(
      `Cannot read ${file}: its rows have columns; name the one with the texts with --column`,
    );
  }
  let bytes: ReadableStream<Uint8Array<ArrayBuffer>>;
  try {
    const handle = await Deno.open(file);
    if ((await handle.stat()).isDirectory) throw new Deno.errors.IsADirectory();
    bytes = handle.readable;
  } catch (error) {
    throw new Error(`Cannot read ${file}: ${ioReason(error)}`, { cause: error });
  }
  if (plain !== file) bytes = bytes.pipeThrough(new DecompressionStream("gzip"));
  return { name: file, texts: readTexts(bytes, { file, column, format }) };
}

async function* asyncly<T>(values: Iterable<T>): AsyncGenerator<T> {
  for (const value of values) yield await Promise.resolve(value);
}

async function openPredictor(
  { run, runs, base, model, backend: asked, provider }: PredictArguments,
): Promise<{ predictor: Predictor; reason: string }> {
  if (model !== undefined) {
    if (asked === "webgpu") {
      throw new TypeError(
        `Cannot run ${model} with --backend webgpu: an exported model runs in ONNX Runtime alone; ` +
          `leave --backend out, or use --provider webgpu`,
      );
    }
    return {
      predictor: await openOnnxFolder(model.replace(/(?<=.)\/+$/, ""), provider),
      reason: "an exported model",
    };
  }
  const folder = await findRun(run!, runs);
  // A provider is ONNX Runtime's alone.
  const { backend, reason } = await chooseBackend(
    asked === "auto" && provider !== undefined ? "ort" : asked,
  );
  if (backend === "webgpu" && provider !== undefined) {
    throw new TypeError("Cannot use --provider with --backend webgpu: it is ONNX Runtime's");
  }
  const tuned = await openTuned(folder, base).catch((error) => {
    // A run's base may lie where this command was granted nothing.
    const denied = error instanceof Error && error.cause instanceof Deno.errors.NotCapable;
    if (!denied || base !== undefined) throw error;
    throw new Error(`${error.message}; name the run's base: ./tunegrid predict --base DIR`, {
      cause: error,
    });
  });
  return { predictor: tunedPredictor(tuned, { backend, provider }), reason };
}

function parse(args: readonly string[]): PredictArguments | null {
  const { _: words, ...flags } = parseArgs([...args], {
    string: ["_", ...named],
    boolean: ["help"],
    unknown: (arg, key) => {
      if (key === undefined) return true;
      throw new TypeError(
        `Cannot use option ${arg}: no such option; use ${
          named.map((name) => `--${name}`).join(", ")
        }; a sentence that starts with a dash goes behind --`,
      );
    },
  });
  if (flags.help) return null;
  const given = (name: typeof named[number]): string | undefined => {
    const value = flags[name] as string | undefined;
    if (value === "") throw new TypeError(`Cannot use --${name}: it takes a value`);
    return value;
  };
  const oneOf = <T extends string>(name: typeof named[number], values: readonly T[]) => {
    const value = given(name);
    const found = values.find((one) => one === value);
    if (value === undefined || found !== undefined) return found;
    throw new RangeError(`Cannot use --${name} ${value}: must be one of ${values.join(", ")}`);
  };
  const sentences = words.map(String);
  const [run, model, file, column] = [given("run"), given("model"), given("file"), given("column")];
  if ((run === undefined) === (model === undefined)) {
    throw new TypeError(
      run === undefined
        ? "Cannot predict: no run is named; use --run ID (see the last column of runs/table.csv), or --model DIR"
        : "Cannot predict with --run and --model at once: use one of them",
    );
  }
  if (sentences.length > 0 && (file ?? column) !== undefined) {
    throw new TypeError(
      `Cannot use --${file === undefined ? "column" : "file"} beside sentences ("${
        sentences[0]
      }"): texts come from one place`,
    );
  }
  const batch = given("batch") === undefined ? 32 : Number(given("batch"));
  if (!Number.isSafeInteger(batch) || batch < 1) {
    throw new RangeError(`Cannot use --batch ${flags.batch}: must be a whole number from 1 on`);
  }
  return {
    sentences,
    run,
    runs: given("runs") ?? "runs",
    base: given("base"),
    model,
    file,
    column,
    format: oneOf("format", predictionFormats),
    out: given("out"),
    backend: oneOf("backend", ["auto", ...backends]) ?? "auto",
    provider: oneOf("provider", onnxProviders),
    batch,
  };
}
