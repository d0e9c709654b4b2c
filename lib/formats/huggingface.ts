import { digestJson, sha256File } from "./digest.ts";
import { ioReason, readBytes } from "./io_error.ts";
import { readSafetensors, type SafetensorsFile, type TensorInfo } from "./safetensors.ts";
import { isJsonObject, parseStrictJson, shown } from "./strict_json.ts";

/** All tensors of a model, in one file or in several shards. */
export interface WeightsFile {
  /** The safetensors files, in order of their names. */
  readonly paths: readonly string[];
  /** Names of all tensors, sorted. */
  names(): string[];
  /** Whether there is a tensor of this name. */
  has(name: string): boolean;
  /**
   * Kind and shape of one tensor.
   * @throws {RangeError} If there is none of this name.
   */
  info(name: string): TensorInfo;
  /** A tensor's elements as f32, row-major; see {@linkcode SafetensorsFile.read}. */
  read(name: string): Promise<Float32Array<ArrayBuffer>>;
  /** Some of a tensor's elements as f32; see {@linkcode SafetensorsFile.readPart}. */
  readPart(name: string, from: number, to: number): Float32Array<ArrayBuffer>;
  /** A tensor's bytes as they stand in the file. */
  readRaw(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /** SHA-256 of the one file, or of the names and SHA-256 of all shards. */
  digest(): Promise<string>;
}

/** A model's folder as Hugging Face writes it. */
export interface ModelFolder {
  readonly dir: string;
  readonly config: Record<string, unknown>;
  readonly weights: WeightsFile;
  /** Whether tokenizer.json is there. */
  readonly hasTokenizer: boolean;
  /**
   * SHA-256 over tokenizer.json and, where it is there, tokenizer_config.json.
   * @throws {Error} If there is no tokenizer.json.
   */
  tokenizerDigest(): Promise<string>;
}

/**
 * Opens a model's folder: config.json, then model.safetensors or, where that is missing, the
 * shards that model.safetensors.index.json names. Headers are checked; no weights are read yet.
 *
 * @throws {Error} If the folder or one of these files is missing or cannot be read.
 * @throws {RangeError|TypeError} If one of them is not as it should be.
 */
export async function openModelFolder(dir: string): Promise<ModelFolder> {
  const config = await readConfig(dir);
  const weights = await openWeights(dir);
  const tokenizerDigest = async () => {
    const files: Record<string, string> = {};
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      if (name === "tokenizer.json" || await isFile(`${dir}/${name}`)) {
        files[name] = await sha256File(`${dir}/${name}`);
      }
    }
    return digestJson(files);
  };
  return {
    dir,
    config,
    weights,
    hasTokenizer: await isFile(`${dir}/tokenizer.json`),
    tokenizerDigest: once(tokenizerDigest),
  };
}

/**
 * Reads config.json of a model's folder.
 *
 * @throws {Error} If it is missing or cannot be read.
 * @throws {TypeError} If it is not a JSON object, or says that the weights are quantised.
 */
export async function readConfig(dir: string): Promise<Record<string, unknown>> {
  const config = await readJsonFile(`${dir}/config.json`);
  if (config.quantization_config !== undefined && config.quantization_config !== null) {
    throw new TypeError(
      `Cannot open model ${dir}: config.json has a quantization_config; ` +
        "quantised weights are not supported, use the original ones in F32, F16 or BF16",
    );
  }
  return config;
}

/**
 * Opens the weights of a model's folder.
 *
 * @throws {Error} If there are none, or one of the files cannot be read.
 * @throws {RangeError|TypeError} If a header is wrong, or index and shards disagree.
 */
export async function openWeights(dir: string): Promise<WeightsFile> {
  const single = `${dir}/model.safetensors`;
  if (await isFile(single)) {
    const file = await readSafetensors(single);
    return weightsOf([file], once(() => sha256File(single)));
  }
  const index = `${dir}/model.safetensors.index.json`;
  if (await isFile(index)) return await openShards(dir, index);
  const other = await isFile(`${dir}/pytorch_model.bin`)
    ? "; found pytorch_model.bin, convert it to safetensors first"
    : "";
  throw new Error(
    `Cannot open model ${dir}: neither model.safetensors nor model.safetensors.index.json is there${other}`,
  );
}

/**
 * Reads a file that must hold one JSON object without repeated keys.
 *
 * @throws {Error} If the file cannot be read.
 * @throws {TypeError} If it holds anything else.
 */
export async function readJsonFile(path: string): Promise<Record<string, unknown>> {
  const bytes = await readBytes(path);
  let value: unknown;
  try {
    value = parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new TypeError(`Cannot read ${path}: not valid JSON: ${(error as Error).message}`);
  }
  if (isJsonObject(value)) return value;
  throw new TypeError(`Cannot read ${path}: it must hold a JSON object`);
}

async function openShards(dir: string, index: string): Promise<WeightsFile> {
  const { weight_map: map } = await readJsonFile(index);
  if (!isJsonObject(map) || Object.keys(map).length === 0) {
    throw new TypeError(`Cannot read ${index}: weight_map must map tensor names to files`);
  }
  for (const [name, shard] of Object.entries(map)) {
    // A plain file name of this folder: nothing that leads elsewhere.
    if (typeof shard !== "string" || !/^[\w-][\w.-]*\.safetensors$/.test(shard)) {
      throw new TypeError(
        `Cannot read ${index}: tensor ${shown(name)} is placed in ` +
          `${shown(shard)}; a .safetensors file of the same folder is needed`,
      );
    }
  }
  const shards = [...new Set(Object.values(map) as string[])].sort();
  const files: SafetensorsFile[] = [];
  for (const shard of shards) {
    const file = await readSafetensors(`${dir}/${shard}`);
    const held = new Set(file.names());
    for (const name of held) {
      if (map[name] !== shard) {
        throw new RangeError(
          `Cannot read ${index}: ${shard} holds tensor ${shown(name)}, ` +
            `which the index places in ${shown(map[name] ?? "no file")}`,
        );
      }
    }
    const missing = Object.keys(map).find((name) => map[name] === shard && !held.has(name));
    if (missing !== undefined) {
      throw new RangeError(
        `Cannot read ${index}: tensor ${shown(missing)} is placed in ${shard}, ` +
          "which does not hold it",
      );
    }
    files.push(file);
  }
  const digest = async () => {
    const digests: Record<string, string> = {};
    for (const shard of shards) digests[shard] = await sha256File(`${dir}/${shard}`);
    return digestJson(digests);
  };
  return weightsOf(files, once(digest));
}

function weightsOf(files: SafetensorsFile[], digest: () => Promise<string>): WeightsFile {
  const home = new Map(files.flatMap((file) => file.names().map((name) => [name, file])));
  // Where no file has the name, the first one says so.
  const fileOf = (name: string) => home.get(name) ?? files[0];
  return {
    paths: files.map((file) => file.path),
    names: () => [...home.keys()].sort(),
    has: (name) => home.has(name),
    info: (name) => fileOf(name).info(name),
    read: (name) => fileOf(name).read(name),
    readPart: (name, from, to) => fileOf(name).readPart(name, from, to),
    readRaw: (name) => fileOf(name).readRaw(name),
    digest,
  };
}

/** Whether there is a file of this name. @throws Error where that cannot be told. */
export async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw new Error(`Cannot read ${path}: ${ioReason(error)}`, { cause: error });
  }
}

function once<T>(compute: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => result ??= compute();
}
