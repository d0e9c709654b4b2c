import { kindWords, type Repository } from "./repository.ts";
import type { RemoteFile } from "./verify.ts";

const SHARD = /^model-\d{5}-of-\d{5}\.safetensors$/;
const INDEX = "model.safetensors.index.json";
const SMALL =
  /^(config|adapter_config|generation_config|special_tokens_map|tokenizer[\w-]*)\.json$/;
const DATA = /\.(parquet|tsv|csv|tsv\.gz|csv\.gz)$/;

/** Weights in Python's pickle form, or inside other files that run code when they are read. */
const PICKLE = /\.(bin|pt|pth|ckpt|pkl|h5|msgpack)$/;

/**
 * The files that are fetched: of a model, safetensors (one file or shards with their index),
 * configuration and tokenizer; of a data set, Parquet, TSV and CSV files and the card, which names
 * the classes.
 *
 * @throws {RangeError} If the repository has none of what is needed, saying what it has.
 */
export function selectFiles(repository: Repository, files: readonly RemoteFile[]): RemoteFile[] {
  for (const { path } of files) checkPath(path);
  return repository.kind === "model" ? ofModel(repository, files) : ofData(repository, files);
}

function ofModel({ id }: Repository, files: readonly RemoteFile[]): RemoteFile[] {
  const names = new Set(files.map(({ path }) => path));
  const refuse = (reason: string): never => {
    throw new RangeError(`Cannot fetch ${id}: ${reason}`);
  };
  const isAdapter = names.has("adapter_config.json") && !names.has("config.json");
  const isWeight = isAdapter
    ? (path: string) => path === "adapter_model.safetensors"
    : names.has("model.safetensors")
    ? (path: string) => path === "model.safetensors"
    : (path: string) => path === INDEX && hasShards || SHARD.test(path);
  const hasShards = files.some(({ path }) => SHARD.test(path));
  if (!files.some(({ path }) => isWeight(path))) {
    const pickles = files.map(({ path }) => path).filter((path) => PICKLE.test(path));
    refuse(
      pickles.length > 0
        ? `its weights are pickled or the like (${
          list(pickles)
        }), which can run code when they are ` +
          "read, and none are safetensors; name a --revision that has model.safetensors"
        : `it has no weights in safetensors; found ${list([...names]) || "no files"}`,
    );
  }
  if (hasShards && !names.has("model.safetensors") && !names.has(INDEX)) {
    refuse(`its weights are in shards, and ${INDEX} is missing`);
  }
  const needed = isAdapter ? [] : ["config.json", "tokenizer.json"];
  for (const name of needed) {
    if (!names.has(name)) {
      refuse(`it has no ${name}, without which it cannot be opened; found ${list([...names])}`);
    }
  }
  return files.filter(({ path }) => SMALL.test(path) || isWeight(path));
}

function ofData({ kind, id }: Repository, files: readonly RemoteFile[]): RemoteFile[] {
  const data = files.filter(({ path }) => DATA.test(path));
  if (data.length === 0) {
    throw new RangeError(
      `Cannot fetch ${id}: the ${kindWords[kind]} has no Parquet, TSV or CSV files; found ` +
        (list(files.map(({ path }) => path)) || "no files"),
    );
  }
  return files.filter(({ path }) => path === "README.md" || DATA.test(path));
}

/** A listing decides where files are written, so none of its paths may lead elsewhere. */
function checkPath(path: string): void {
  const parts = path.split("/");
  // deno-lint-ignore no-control-regex
  const wrong = /[\\\u0000-\u001f\u007f]/.test(path) ||
    parts.some((part) => part === "" || part === "." || part === "..");
  if (wrong) {
    throw new RangeError(
      `Cannot fetch ${JSON.stringify(path)}: the Hub lists a path that leads elsewhere`,
    );
  }
}

function list(names: readonly string[]): string {
  return names.slice(0, 8).join(", ") + (names.length > 8 ? ", …" : "");
}
