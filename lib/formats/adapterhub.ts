/**
 * Adapters as adapter-hub/adapters saves them: `adapter_config.json`, `adapter.safetensors`.
 *
 * @module
 */

import {
  checkSettings,
  type DeltaMethod,
  type DeltaTensors,
  type ForeignDelta,
  joinTensors,
  type NameMap,
  numberSetting,
  openDelta,
  UnsupportedError,
} from "./delta.ts";
import { isFile, readJsonFile } from "./huggingface.ts";
import { isJsonObject, shown } from "./strict_json.ts";

const CONFIG = "adapter_config.json";

/** What must hold of a bottleneck adapter. */
const FIXED = {
  adapter_residual_before_ln: [false],
  dropout: [0],
  leave_out: [[]],
  original_ln_after: [true],
  output_adapter: [true],
  residual_before_ln: [true],
};

/** Settings that are read, or that matter only together with ones that must be off. */
const FREE = [
  "cross_adapter",
  "factorized_phm_W",
  "factorized_phm_rule",
  "hypercomplex_nonlinearity",
  "init_weights",
  "inv_adapter_reduction_factor",
  "is_parallel",
  "learn_phm",
  "mh_adapter",
  "non_linearity",
  "original_ln_before",
  "phm_bias",
  "phm_c_init",
  "phm_dim",
  "phm_init_range",
  "phm_rank",
  "reduction_factor",
  "scaling",
  "shared_W_phm",
  "shared_phm_rule",
];

/**
 * The method that an `adapter_config.json` of adapters describes.
 *
 * Three settings tell the placements apart. With `is_parallel` the adapter stands beside the
 * feed-forward block; with `mh_adapter` there is one after self-attention too (Houlsby); with
 * `original_ln_before` it reads block output plus residual (Pfeiffer), without it the block's output
 * alone. The bottleneck is max(1, ⌊hidden_size / reduction_factor⌋).
 *
 * @param file The configuration's name, for messages.
 * @throws UnsupportedError if it is not a bottleneck adapter.
 * @throws TypeError naming a setting that is malformed or not supported.
 */
export function adapterHubMethod(
  config: Readonly<Record<string, unknown>>,
  file: string = CONFIG,
): DeltaMethod {
  const { config: settings, hidden_size: width } = config;
  if (!isJsonObject(settings) || !("reduction_factor" in settings)) {
    throw new UnsupportedError(
      `Cannot use ${file}: it does not describe a bottleneck adapter (config.reduction_factor)`,
    );
  }
  checkSettings(file, settings, { free: FREE, fixed: FIXED });
  const { non_linearity: activation, mh_adapter, output_adapter } = settings;
  if (typeof activation !== "string") {
    throw new TypeError(
      `Cannot use ${file}: non_linearity must be a text, found ${shown(activation)}`,
    );
  }
  if (mh_adapter === undefined || output_adapter === undefined) {
    throw new TypeError(`Cannot use ${file}: mh_adapter and output_adapter must both be there`);
  }
  const above = (value: number) => value > 0;
  const hidden = numberSetting(file, "hidden_size", width, "a number above 0", above);
  const factor = numberSetting(
    file,
    "reduction_factor",
    settings.reduction_factor,
    "one number above 0 for all layers",
    above,
  );
  return {
    method: "adapter",
    options: {
      // With one after cross-attention too it is this project's own placement.
      semantics: crossAdapter(file, settings) ? "own" : "adapterhub",
      bottleneck: Math.max(1, Math.floor(hidden / factor)),
      activation: activation.toLowerCase(),
      placement: placementOf(file, settings),
      scaling: numberSetting(file, "scaling", settings.scaling ?? 1, "a number above 0", above),
    },
  };
}

function crossAdapter(
  file: string,
  { cross_adapter: cross = false, mh_adapter: attention }: Readonly<Record<string, unknown>>,
): boolean {
  if (cross === false || cross === null) return false;
  if (cross === true && attention === true) return true;
  throw new TypeError(
    `Cannot use ${file}: cross_adapter ${
      shown(cross)
    } is not supported, but true beside mh_adapter true`,
  );
}

function placementOf(
  file: string,
  { is_parallel: parallel = false, mh_adapter: attention, original_ln_before: before }: Readonly<
    Record<string, unknown>
  >,
): string {
  const found = shown({
    is_parallel: parallel,
    mh_adapter: attention,
    original_ln_before: before,
  });
  const kind = [parallel, attention, before].map((one) => shown(one)).join(" ");
  switch (kind) {
    case "false false true":
      return "pfeiffer";
    case "false false false":
      return "ffn";
    case "false true false":
      return "houlsby";
    case "true false false":
      return "parallel";
  }
  throw new TypeError(
    `Cannot use ${file}: at most one of is_parallel, mh_adapter and original_ln_before may be true ` +
      `and none missing, found ${found}`,
  );
}

/** Adapters of Llama and GPT-2 stand beside the blocks whose output they change. */
const SITES = [
  { own: ".mlp", foreign: ".output_adapters", family: "" },
  { own: ".attn", foreign: ".attention_adapters", family: "transformer." },
  { own: ".self_attn", foreign: ".attention_adapters", family: "" },
] as const;

/**
 * The parameter names of adapters, for an adapter of some name:
 * `<site>.adapters.<name>.adapter_down.0.weight` is `<site>.adapter_down.weight`. Parameters of the
 * model itself keep their names.
 */
export function adapterHubNames(adapter: string): NameMap {
  const site = (path: string, from: "own" | "foreign", to: "own" | "foreign") => {
    const rule = SITES.find((one) => path.endsWith(one[from]) && path.startsWith(one.family));
    return rule === undefined ? path : path.slice(0, -rule[from].length) + rule[to];
  };
  return {
    own: (foreign) => {
      const [, path, name, part, kind] =
        /^(.+)\.adapters\.(.+)\.(adapter_down\.0|adapter_up)\.(weight|bias)$/.exec(foreign) ?? [];
      if (name !== adapter) {
        throw new TypeError(
          `Cannot use tensor ${shown(foreign)}: it is not a bottleneck's of adapter ${
            shown(adapter)
          }`,
        );
      }
      return `${site(path, "foreign", "own")}.${part.replace(/\.0$/, "")}.${kind}`;
    },
    foreign: (own) => {
      const [, path, part, kind] = /^(.+)\.(adapter_down|adapter_up)\.(weight|bias)$/.exec(own) ??
        [];
      if (path === undefined) return own;
      const module = part === "adapter_down" ? "adapter_down.0" : part;
      return `${site(path, "own", "foreign")}.adapters.${adapter}.${module}.${kind}`;
    },
  };
}

/**
 * Opens a folder that adapters saved, with the head that `model_head.safetensors` holds beside.
 *
 * @throws Error where a file is missing, TypeError or {@linkcode UnsupportedError} as
 *   {@linkcode adapterHubMethod} does, or naming a tensor that is not the adapter's.
 */
export async function openAdapterHub(dir: string): Promise<ForeignDelta> {
  const file = `${dir}/${CONFIG}`;
  const config = await readJsonFile(file);
  const described = adapterHubMethod(config, file);
  if (typeof config.name !== "string" || config.name === "") {
    throw new TypeError(
      `Cannot use ${file}: name must be a text, found ${shown(config.name)}`,
    );
  }
  const names = adapterHubNames(config.name);
  const tensors = await openDelta(`${dir}/adapter.safetensors`, names);
  const head = await openHead(dir);
  return {
    ...described,
    tensors: head === null ? tensors : joinTensors(tensors, head),
    foreignName: names.foreign,
  };
}

/** The head of a model of transformers; null where the folder has none. */
async function openHead(dir: string): Promise<DeltaTensors | null> {
  const file = `${dir}/head_config.json`;
  if (!await isFile(file)) return null;
  const { config } = await readJsonFile(file);
  if (config !== null && config !== undefined) {
    throw new TypeError(
      `Cannot use ${file}: config must be null (the head of a model of transformers), found ${
        shown(config)
      }; convert the flexible head with adapters, or remove both head files`,
    );
  }
  const same = (name: string) => name;
  return await openDelta(`${dir}/model_head.safetensors`, { own: same, foreign: same });
}
