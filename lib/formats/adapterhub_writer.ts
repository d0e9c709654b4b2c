/**
 * Trained bottleneck adapters as adapter-hub/adapters saves them.
 *
 * @module
 */

import { adapterHubNames } from "./adapterhub.ts";
import { writeFileAtomic } from "./atomic.ts";
import { baseSizes, familyOf, modelClass } from "./base_sizes.ts";
import { type BaseFacts, type DeltaFiles, sortedJson, type TrainedDelta } from "./delta.ts";
import { type Tensor, writeSafetensors } from "./safetensors.ts";

/** The version of adapters whose fields are written. */
const VERSION = "adapters.1.0.0";

/** An adapter's files, and those of the head that was trained with it. */
export interface AdapterHubFiles extends DeltaFiles {
  /** Null where the base answers in words. */
  readonly head: Pick<DeltaFiles, "config" | "tensors"> | null;
}

/**
 * `adapter_config.json`, `adapter.safetensors`, `head_config.json` and `model_head.safetensors` of an
 * adapter, for adapters' classes that keep transformers' own head.
 *
 * @param name The adapter's name, which its tensors carry.
 * @throws TypeError where adapters has nothing that computes the same.
 */
export function adapterHubFiles(
  delta: TrainedDelta,
  base: BaseFacts,
  name: string,
): AdapterHubFiles {
  if (delta.method !== "adapter") {
    throw new TypeError(
      `Cannot save ${delta.method} for adapters: its layout is read and written for bottleneck ` +
        "adapters alone; use --to peft or --to safetensors",
    );
  }
  if (!base.textToText && familyOf(base) === "t5") {
    throw new TypeError(
      "Cannot save adapter for adapters: it has no T5 encoder under a classification head; " +
        "use --to safetensors",
    );
  }
  const { width } = baseSizes(base);
  const about = {
    hidden_size: width,
    model_class: modelClass(base),
    model_name: base.name,
    model_type: familyOf(base),
    version: VERSION,
  };
  const names = adapterHubNames(name);
  const isHead = (own: string) => base.head.includes(own);
  const pick = (wanted: (own: string) => boolean): Map<string, Tensor> =>
    new Map(
      [...delta.tensors].filter(([own]) => wanted(own))
        .map(([own, tensor]) => [names.foreign(own), tensor]),
    );
  const head = pick(isHead);
  return {
    config: { ...about, name, config: settings(delta, width) },
    tensors: pick((own) => !isHead(own)),
    head: head.size === 0 ? null : {
      config: {
        ...about,
        config: null,
        label2id: Object.fromEntries(base.labels.map((label, i) => [label, i])),
        name: null,
        num_labels: base.labels.length,
      },
      tensors: head,
    },
    notes: [],
  };
}

/** Writes them into a folder that exists. @throws Error if a file cannot be written. */
export async function writeAdapterHub(
  dir: string,
  { config, tensors, head }: AdapterHubFiles,
): Promise<void> {
  await writeFileAtomic(`${dir}/adapter_config.json`, sortedJson(config));
  await writeSafetensors(`${dir}/adapter.safetensors`, tensors, { format: "pt" });
  if (head === null) return;
  await writeFileAtomic(`${dir}/head_config.json`, sortedJson(head.config));
  await writeSafetensors(`${dir}/model_head.safetensors`, head.tensors, { format: "pt" });
}

function settings(delta: TrainedDelta, width: number): Record<string, unknown> {
  const { options } = delta;
  const placement = String(options.placement);
  const parallel = placement === "parallel";
  const [, down] = [...delta.tensors].find(([name]) => name.endsWith(".adapter_down.weight"))!;
  // Own semantics put one after cross-attention as well.
  const cross = [...delta.tensors.keys()].some((name) =>
    /^decoder\.block\.\d+\.layer\.1\.adapter_down\.weight$/.test(name)
  );
  return {
    adapter_residual_before_ln: false,
    cross_adapter: cross,
    dropout: 0,
    factorized_phm_W: true,
    factorized_phm_rule: false,
    hypercomplex_nonlinearity: "glorot-uniform",
    init_weights: parallel ? "mam_adapter" : "bert",
    inv_adapter: null,
    inv_adapter_reduction_factor: null,
    is_parallel: parallel,
    learn_phm: true,
    leave_out: [],
    ln_after: false,
    ln_before: false,
    mh_adapter: placement === "houlsby",
    non_linearity: String(options.activation),
    original_ln_after: true,
    original_ln_before: placement === "pfeiffer",
    output_adapter: true,
    phm_bias: true,
    phm_c_init: "normal",
    phm_dim: 4,
    phm_init_range: 0.0001,
    phm_layer: false,
    phm_rank: 1,
    reduction_factor: reductionFactor(width, down.shape[0]),
    residual_before_ln: true,
    scaling: Number(options.scaling),
    shared_W_phm: false,
    shared_phm_rule: true,
    use_gating: false,
  };
}

/** A factor f with ⌊width / f⌋ = bottleneck, in Python's floor division too. */
function reductionFactor(width: number, bottleneck: number): number {
  const factor = width / bottleneck;
  const divided = (width - width % factor) / factor;
  const holds = Math.floor(width / factor) === bottleneck && Math.round(divided) === bottleneck;
  return holds ? factor : width / (bottleneck + 0.5);
}
