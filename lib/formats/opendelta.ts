/**
 * Deltas of thunlp/OpenDelta: `delta_config.json`, and its parameters as `delta.safetensors`.
 *
 * @module
 */

import {
  checkSettings,
  type DeltaMethod,
  type ForeignDelta,
  type NameMap,
  numberSetting,
  openDelta,
  UnsupportedError,
} from "./delta.ts";
import { readJsonFile } from "./huggingface.ts";
import { shown } from "./strict_json.ts";

const CONFIG = "delta_config.json";

/**
 * Modules that OpenDelta puts an adapter behind, by the ends of their paths: a block, or the last
 * layer in it. What is cut off leads to the block whose output it is, as this project names it.
 */
const MODULES = [
  { end: ".DenseReluDense.wo", cut: ".DenseReluDense.wo", block: "feed-forward" },
  { end: ".DenseReluDense", cut: ".DenseReluDense", block: "feed-forward" },
  { end: ".SelfAttention.o", cut: ".SelfAttention.o", block: "attention" },
  { end: ".SelfAttention", cut: ".SelfAttention", block: "attention" },
  { end: ".attention.output.dense", cut: ".dense", block: "attention" },
  { end: ".output.dense", cut: ".dense", block: "feed-forward" },
  { end: ".mlp.c_proj", cut: ".c_proj", block: "feed-forward" },
  { end: ".mlp.down_proj", cut: ".down_proj", block: "feed-forward" },
  { end: ".mlp", cut: "", block: "feed-forward" },
  { end: ".attn.c_proj", cut: ".c_proj", block: "attention" },
  { end: ".attn", cut: "", block: "attention" },
  { end: ".self_attn.o_proj", cut: ".o_proj", block: "attention" },
  { end: ".self_attn", cut: "", block: "attention" },
] as const;

/** Names of OpenDelta's adapters as this project's, and which blocks have one. */
interface Names extends NameMap {
  readonly blocks: ReadonlySet<"attention" | "feed-forward">;
}

/**
 * The parameter names of some adapters of OpenDelta:
 * `<module>.adapter.modulelist.down_proj.weight` is `<site>.adapter_down.weight`. Parameters of the
 * model itself keep their names.
 *
 * @param tensors The names in the file.
 * @throws TypeError naming a tensor that is not an adapter's behind a block.
 */
export function openDeltaNames(tensors: readonly string[]): Names {
  const own = new Map<string, string>();
  const blocks = new Set<"attention" | "feed-forward">();
  for (const tensor of tensors) {
    const [, path, part, kind] =
      /^(.+)\.adapter\.modulelist\.(down|up)_proj\.(weight|bias)$/.exec(tensor) ?? [];
    const module = MODULES.find(({ end }) => path?.endsWith(end));
    if (module === undefined) {
      throw new TypeError(
        `Cannot use tensor ${
          shown(tensor)
        }: it is not an adapter's behind an attention or feed-forward block`,
      );
    }
    blocks.add(module.block);
    const site = path.slice(0, path.length - module.cut.length);
    own.set(tensor, `${site}.adapter_${part}.${kind}`);
  }
  const foreign = new Map([...own].map(([theirs, ours]) => [ours, theirs]));
  return {
    blocks,
    own: (name) => own.get(name)!,
    foreign: (name) => foreign.get(name) ?? name,
  };
}

/**
 * The method that a `delta_config.json` describes.
 *
 * @param blocks Which blocks the file has adapters behind.
 * @throws UnsupportedError if it is not an adapter, TypeError naming a setting that is malformed.
 */
export function openDeltaMethod(
  config: Readonly<Record<string, unknown>>,
  { blocks }: Pick<Names, "blocks">,
  file: string = CONFIG,
): DeltaMethod {
  checkKind(config, file);
  const { bottleneck_dim: size = 24, non_linearity: act = "gelu_new" } = config;
  checkSettings(file, config, {
    free: ["bottleneck_dim", "delta_type", "modified_modules", "non_linearity"],
    fixed: {},
  });
  if (typeof act !== "string") {
    throw new TypeError(
      `Cannot use ${file}: non_linearity must be a text, found ${shown(act)}`,
    );
  }
  if (!blocks.has("feed-forward")) {
    throw new TypeError(
      `Cannot use ${file}: its adapters must stand behind feed-forward blocks, or those and ` +
        "attentions; found attentions alone",
    );
  }
  const whole = (value: number) => Number.isSafeInteger(value) && value >= 1;
  return {
    method: "adapter",
    options: {
      semantics: "opendelta",
      bottleneck: numberSetting(file, "bottleneck_dim", size, "a whole number above 0", whole),
      activation: act.toLowerCase(),
      placement: blocks.has("attention") ? "houlsby" : "ffn",
    },
  };
}

function checkKind({ delta_type: kind }: Readonly<Record<string, unknown>>, file: string): void {
  if (kind === "adapter") return;
  throw new UnsupportedError(
    `Cannot use ${file}: delta_type ${shown(kind)} is not supported, only "adapter"`,
  );
}

/**
 * Opens a folder with a delta of OpenDelta. The trained head, if any, is not in it.
 *
 * @throws Error where a file is missing, TypeError or {@linkcode UnsupportedError} as
 *   {@linkcode openDeltaMethod} and {@linkcode openDeltaNames} do.
 */
export async function openOpenDelta(dir: string): Promise<ForeignDelta> {
  const file = `${dir}/${CONFIG}`;
  const config = await readJsonFile(file);
  checkKind(config, file);
  let names: Names | undefined;
  const tensors = await openDelta(`${dir}/delta.safetensors`, (found) => {
    names = openDeltaNames(found);
    return names;
  });
  return { ...openDeltaMethod(config, names!, file), tensors, foreignName: names!.foreign };
}
