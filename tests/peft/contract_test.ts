/** One contract for every method, on a small model of every family with random weights. */

import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { readSafetensors, writeSafetensors } from "../../lib/formats/safetensors.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { buildModel } from "../../lib/models/index.ts";
import type { Model } from "../../lib/models/model.ts";
import { measure, type Measures } from "../../lib/parity/measure.ts";
import { methods } from "../../lib/peft/index.ts";
import { type Attached, attachMethod, type MethodOptions } from "../../lib/peft/method.ts";
import { initialValues, randomWeights, type WeightValues } from "../../lib/train/initialize.ts";
import { gpuTest } from "../check_op.ts";
import {
  bertConfig,
  gpt2Config,
  llamaConfig,
  smallBatch,
  t5Config,
  t5GatedConfig,
} from "../small_models.ts";

const CLASSES = 3;

/** Sizes that the formulas below speak of. */
interface Sizes {
  readonly width: number;
  /** Feed-forward blocks of all stacks. */
  readonly blocks: number;
  /** Inputs and outputs of every query and value projection. */
  readonly queryValue: readonly (readonly [number, number])[];
  /** The same without cross-attention. */
  readonly selfQueryValue: readonly (readonly [number, number])[];
  /** Attention blocks: over a stack's own states, and over the encoder's. */
  readonly attentions: { readonly self: number; readonly cross: number };
  /** Width of keys of each self-attention. */
  readonly keys: number;
  /** Self-attentions of the encoder, or of the one stack. */
  readonly encoderLayers: number;
  /** Whether there is an encoder and a decoder. */
  readonly both: boolean;
  /** Outputs of key and value maps and inputs of second feed-forward maps; what BERT's PEFT adds. */
  readonly rescaled: { readonly own: number; readonly peft: number };
  /** Biases outside the head. */
  readonly biases: number;
  /** Parameters without a head; those of the encoder alone where the head has no decoder. */
  readonly base: { readonly all: number; readonly underHead: number };
  /** Parameters of the head, where a method has one. */
  readonly head: { readonly own: number; readonly added: number };
}

const t5Parameters = (gated: boolean): Sizes => {
  const [v, c, inner, f, heads, buckets] = [121, 20, 18, 28, 3, 32];
  const attention = 4 * c * inner + c;
  const feedForward = (gated ? 3 : 2) * c * f + c;
  const encoder = 2 * (attention + feedForward) + buckets * heads + c;
  const decoder = 2 * attention + feedForward + buckets * heads + c;
  const output = gated ? v * c : 0;
  return {
    width: c,
    blocks: 3,
    queryValue: Array.from({ length: 2 * 4 }, () => [c, inner]),
    selfQueryValue: Array.from({ length: 2 * 3 }, () => [c, inner]),
    attentions: { self: 3, cross: 1 },
    keys: inner,
    encoderLayers: 2,
    both: true,
    rescaled: { own: 2 * 4 * inner + 3 * f, peft: 2 * 4 * inner + 3 * f },
    biases: 0,
    base: { all: v * c + encoder + decoder + output, underHead: v * c + encoder },
    head: { own: 0, added: CLASSES * c + CLASSES },
  };
};

const llamaParameters = (): Sizes => {
  const [v, c, keys, f] = [121, 24, 12, 36];
  const layer = 2 * c * c + 2 * c * keys + 3 * c * f + 2 * c;
  const all = v * c + 2 * layer + c;
  const head = CLASSES * c;
  return {
    width: c,
    blocks: 2,
    queryValue: [[c, c], [c, keys], [c, c], [c, keys]],
    selfQueryValue: [[c, c], [c, keys], [c, c], [c, keys]],
    attentions: { self: 2, cross: 0 },
    keys,
    encoderLayers: 2,
    both: false,
    rescaled: { own: 2 * (2 * keys + f), peft: 2 * (2 * keys + f) },
    biases: 0,
    base: { all, underHead: all },
    head: { own: head, added: head },
  };
};

const bertParameters = (): Sizes => {
  const [v, positions, types, c, f] = [121, 23, 2, 12, 20];
  const layer = 4 * (c * c + c) + (c * f + f) + (f * c + c) + 4 * c;
  const all = (v + positions + types) * c + 2 * c + 2 * layer + c * c + c;
  const head = CLASSES * c + CLASSES;
  return {
    width: c,
    blocks: 2,
    queryValue: Array.from({ length: 4 }, () => [c, c]),
    selfQueryValue: Array.from({ length: 4 }, () => [c, c]),
    attentions: { self: 2, cross: 0 },
    keys: c,
    encoderLayers: 2,
    both: false,
    rescaled: { own: 2 * (2 * c + f), peft: 2 * (3 * c + f) },
    biases: 2 * (4 * c + f + c + 2 * c) + c + c,
    base: { all, underHead: all },
    head: { own: head, added: head },
  };
};

const gpt2Parameters = (): Sizes => {
  const [v, positions, c, f] = [121, 23, 12, 44];
  const layer = (3 * c * c + 3 * c) + (c * c + c) + (c * f + f) + (f * c + c) + 4 * c;
  const all = (v + positions) * c + 2 * layer + 2 * c;
  const head = CLASSES * c;
  return {
    width: c,
    blocks: 2,
    // Query, key and value are one map.
    queryValue: Array.from({ length: 2 }, () => [c, 3 * c]),
    selfQueryValue: Array.from({ length: 2 }, () => [c, 3 * c]),
    attentions: { self: 2, cross: 0 },
    keys: c,
    encoderLayers: 2,
    both: false,
    rescaled: { own: 2 * (3 * c + f), peft: 2 * (3 * c + f) },
    biases: 2 * (3 * c + c + f + c + 2 * c) + c,
    base: { all, underHead: all },
    head: { own: head, added: head },
  };
};

const families = [
  { name: "T5", config: t5Config, sizes: t5Parameters(false) },
  { name: "T5 v1.1", config: t5GatedConfig, sizes: t5Parameters(true) },
  { name: "Llama", config: llamaConfig, sizes: llamaParameters() },
  { name: "BERT", config: bertConfig, sizes: bertParameters() },
  { name: "GPT-2", config: gpt2Config, sizes: gpt2Parameters() },
];

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const bottleneckParameters = (width: number, size: number) => 2 * width * size + width + size;
const bottleneck = (size: number) => ({ width, blocks }: Sizes) =>
  blocks * bottleneckParameters(width, size);
/** With adapters after attention as well. */
const houlsby = (size: number, cross: boolean) => ({ width, blocks, attentions }: Sizes) =>
  (blocks + attentions.self + (cross ? attentions.cross : 0)) * bottleneckParameters(width, size);
const lowRank = (rank: number) => ({ queryValue }: Sizes) =>
  sum(queryValue.map(([inputs, outputs]) => rank * (inputs + outputs)));

/** Options to try on every family. */
interface Variant {
  readonly options: MethodOptions;
  /** How many parameters the method adds with them. */
  readonly adds: (sizes: Sizes) => number;
  /** Families that lack what it needs, and what it says there. */
  readonly lacks?: { readonly families: readonly string[]; readonly message: string };
}

const noBias = { families: ["T5", "T5 v1.1", "Llama"], message: "the model has no bias outside" };
const peftPrefix = {
  families: ["T5", "T5 v1.1"],
  message: "PEFT gives it 20 numbers for each key, not the 3 × 6 that it has",
};

const variants: Readonly<Record<string, readonly Variant[]>> = {
  zero_shot: [{ options: {}, adds: () => 0 }],
  head: [{ options: {}, adds: () => 0 }],
  full: [{ options: {}, adds: () => 0 }],
  bitfit: [{ options: {}, adds: () => 0, lacks: noBias }],
  soft_prompt: [
    { options: { tokens: 4 }, adds: ({ width }) => 4 * width },
    { options: { tokens: 1, init: "random" }, adds: ({ width }) => width },
    {
      options: { semantics: "peft", tokens: 3 },
      adds: ({ width, both }) => (both ? 6 : 3) * width,
    },
    { options: { semantics: "opendelta", tokens: 2 }, adds: ({ width }) => 2 * width },
  ],
  prefix: [
    {
      options: { tokens: 3 },
      adds: ({ attentions, keys }) => 3 * attentions.self * 2 * keys,
    },
    {
      options: { semantics: "peft", tokens: 2 },
      adds: ({ encoderLayers, keys }) => 2 * encoderLayers * 2 * keys,
      lacks: peftPrefix,
    },
  ],
  adapter: [
    { options: { bottleneck: 5 }, adds: bottleneck(5) },
    {
      options: { bottleneck: 1, placement: "pfeiffer", activation: "gelu" },
      adds: bottleneck(1),
    },
    { options: { bottleneck: 3, placement: "houlsby" }, adds: houlsby(3, true) },
    { options: { bottleneck: 3, placement: "parallel" }, adds: bottleneck(3) },
    {
      options: { semantics: "adapterhub", reduction: 5 },
      adds: (sizes) => bottleneck(Math.floor(sizes.width / 5))(sizes),
    },
    { options: { semantics: "adapterhub", placement: "houlsby" }, adds: houlsby(1, false) },
    {
      options: { semantics: "adapterhub", placement: "parallel" },
      adds: (sizes) => bottleneck(sizes.width / 2)(sizes),
    },
    { options: { semantics: "opendelta", bottleneck: 4 }, adds: houlsby(4, false) },
  ],
  lora: [
    { options: { rank: 3 }, adds: lowRank(3) },
    { options: { rank: 1, alpha: 4 }, adds: lowRank(1) },
    { options: { rank: 3, rslora: true, init: "gaussian", plus: 4 }, adds: lowRank(3) },
    {
      options: { rank: 2, dora: true },
      adds: (sizes) => lowRank(2)(sizes) + sum(sizes.queryValue.map(([, outputs]) => outputs)),
    },
    { options: { rank: 2, init: "pissa" }, adds: lowRank(2) },
    { options: { semantics: "peft", rank: 2 }, adds: lowRank(2) },
    {
      options: { semantics: "opendelta", rank: 2 },
      adds: ({ selfQueryValue }) => sum(selfQueryValue.map(([a, b]) => 2 * (a + b))),
    },
  ],
  ia3: [
    { options: {}, adds: ({ rescaled }) => rescaled.own },
    { options: { semantics: "peft" }, adds: ({ rescaled }) => rescaled.peft },
  ],
};

interface Subject {
  readonly model: Model;
  readonly attached: Attached;
  readonly values: WeightValues;
}

/** A fresh model under a method; equal seeds give equal weights. */
function subject(config: typeof families[number]["config"], name: string, options: MethodOptions) {
  const method = methods[name];
  const model = buildModel(config, { classes: CLASSES, head: method.needsHead });
  const attached = attachMethod(model, method, method.parse(options));
  const base = randomWeights(model.scope.select(), 7);
  const delta = attached.delta.select().map((parameter) =>
    [parameter.name, initialValues(parameter, 7, base)] as const
  );
  return { model, attached, values: new Map([...base, ...delta]) };
}

async function run(
  gpu: Gpu,
  { model, attached, values }: Subject,
  steps: number,
): Promise<Measures> {
  return await measure({
    gpu,
    model,
    attached,
    values,
    batch: smallBatch(model),
    steps,
    learningRate: 1e-2,
    weightDecay: 0, // what moves, moves by its gradient
    wanted: [...values.keys()],
  });
}

/** The base alone, computed once. */
async function unchanged(
  gpu: Gpu,
  config: typeof families[number]["config"],
  head: boolean,
): Promise<Measures> {
  const key = JSON.stringify([config, head]);
  const model = buildModel(config, { classes: CLASSES, head });
  const found = bases.get(key) ?? await run(gpu, {
    model,
    attached: attachMethod(model, methods.zero_shot, {}),
    values: randomWeights(model.scope.select(), 7),
  }, 0);
  bases.set(key, found);
  return found;
}
const bases = new Map<string, Measures>();

const bits = (values: Float32Array<ArrayBuffer>) => new Uint32Array(values.slice().buffer);
const outputBits = ({ outputs }: Measures) =>
  ["logits", "loss"].map((name) => bits(outputs.get(name)!.data));

Deno.test("every method has a contract, and only methods do", () => {
  assertEquals(Object.keys(variants).sort(), Object.keys(methods).sort());
});

for (const [name, cases] of Object.entries(variants)) {
  const method = methods[name];
  const trainsOfBase = (parameter: string, { head }: Model) =>
    ({
      all: true,
      head: head.includes(parameter),
      biases: head.includes(parameter) || parameter.endsWith(".bias"),
      nothing: false,
    })[method.trains];
  const only = (model: Model, { delta }: Attached) =>
    new Set([
      ...model.scope.select((parameter) => trainsOfBase(parameter, model)),
      // PiSSA's start is a constant that the method makes of the base.
      ...delta.select((parameter) => !parameter.endsWith(".initial")),
    ].map((parameter) => parameter.name));

  gpuTest(`${name} keeps the contract of methods`, async (gpu) => {
    for (const { name: family, config, sizes } of families) {
      const baseline = await unchanged(gpu, config, method.needsHead);
      for (const { options, adds, lacks } of cases) {
        const where = `${family}, ${JSON.stringify(options)}`;
        if (lacks?.families.includes(family)) {
          const attempt = async () => await run(gpu, subject(config, name, options), 0);
          await assertRejects(attempt, Error, lacks.message, where);
          continue;
        }
        const one = subject(config, name, options);
        const { model, attached, values } = one;

        // The count is its formula.
        const base = method.needsHead ? sizes.base.underHead : sizes.base.all;
        const head = method.needsHead ? sizes.head.added : sizes.head.own;
        const added = adds(sizes);
        const { biases } = sizes;
        const trained = added +
          { all: base + head, head, biases: biases + head, nothing: 0 }[method.trains];
        assertEquals(attached.counts, { total: base + head + added, trainable: trained }, where);

        // What trains is what is declared, and it alone has a gradient and moments.
        const declared = only(model, attached);
        assertEquals(new Set(attached.trainable.map((parameter) => parameter.name)), declared);
        const after = await run(gpu, one, 4);
        assertEquals(after.memory.byRole.gradient, 4 * trained, where);
        assertEquals(after.memory.byRole.optimizer, 8 * trained, where);

        // The output at the start is the base's, or there is a reason.
        const start = typeof method.startsAsBase === "function"
          ? method.startsAsBase(method.parse(options))
          : method.startsAsBase;
        if (start === true) {
          assertEquals(outputBits(after), outputBits(baseline), where);
        } else {
          assert(start.length > 0);
          assert(after.outputs.get("logits")!.data.every(Number.isFinite), where);
          assertNotEquals(outputBits(after), outputBits(baseline), where);
        }

        // Frozen values keep their bits; what trains changes, and lowers the loss.
        for (const [parameter, start] of values) {
          const end = after.parameters.get(parameter)!;
          const same = bits(start).every((value, i) => value === bits(end)[i]);
          assertEquals(same, !declared.has(parameter), `${where}: ${parameter}`);
        }
        if (declared.size === 0) continue;
        assert(after.final.get("loss")!.data[0] < after.losses[0], `${where}: ${after.losses}`);

        // Saved and loaded again, it computes the same bits.
        const file = await Deno.makeTempFile({ suffix: ".safetensors" });
        try {
          const saved = attached.trainable.map(({ name, shape }) =>
            [name, { shape, data: after.parameters.get(name)! }] as const
          );
          await writeSafetensors(file, new Map(saved));
          const loaded = await readSafetensors(file);
          const restored = new Map(values);
          for (const parameter of loaded.names()) {
            restored.set(parameter, await loaded.read(parameter));
          }
          const again = await run(gpu, { ...subject(config, name, options), values: restored }, 0);
          const end = ["logits", "loss"].map((key) => bits(after.final.get(key)!.data));
          assertEquals(outputBits(again), end, where);
        } finally {
          await Deno.remove(file);
        }
      }
    }
  });
}

const model = () => buildModel(llamaConfig, { classes: CLASSES, head: false });

Deno.test("every method refuses options that it does not have", () => {
  for (const [name, method] of Object.entries(methods)) {
    const known = Object.keys(method.defaults).join(", ") || "none";
    assertThrows(
      () => method.parse({ depth: 1 }),
      TypeError,
      `Cannot use option "depth" of ${name}: no such option; it has ${known}`,
    );
  }
});

Deno.test("methods refuse values that break a rule", () => {
  const bad: [string, MethodOptions, string][] = [
    ["lora", { rank: 0 }, "Cannot use lora with rank 0: must be a whole number of at least 1"],
    ["lora", { rank: 1.5 }, "rank 1.5"],
    ["lora", { rank: "8" }, 'rank "8"'],
    ["lora", { alpha: 0 }, "alpha 0"],
    ["lora", { dropout: 1 }, "dropout 1"],
    ["lora", { targets: "q,,v" }, "module names joined by +"],
    ["adapter", { bottleneck: 0 }, "bottleneck 0"],
    ["adapter", { bottleneck: "half" }, "a whole number of at least 1, or auto"],
    ["adapter", { activation: "maxout" }, "relu or gelu"],
    ["adapter", { placement: "between" }, "ffn or pfeiffer or houlsby or parallel"],
    ["adapter", { semantics: "peft" }, "must be own or opendelta or adapterhub"],
    ["adapter", { semantics: "opendelta", scaling: 2 }, "under opendelta semantics: there it is 1"],
    ["lora", { semantics: "adapterhub" }, "must be own or peft or opendelta"],
    [
      "lora",
      { semantics: "opendelta", dora: true },
      "under opendelta semantics: there it is false",
    ],
    ["lora", { init: "olora" }, "default or gaussian or pissa"],
    ["lora", { plus: 0.5 }, "plus 0.5: must be a number of at least 1"],
    ["lora", { dora: true, init: "pissa" }, "leave one of them out"],
    ["lora", { rslora: "yes" }, "true or false"],
    ["ia3", { semantics: "opendelta" }, "must be own or peft"],
    ["prefix", { semantics: "adapterhub" }, "must be own or peft"],
    ["prefix", { tokens: 0 }, "tokens 0"],
    ["soft_prompt", { submodules: 3 }, "1 or 2, or auto"],
    ["soft_prompt", { init: "text" }, "init text takes a text and the others none"],
    ["soft_prompt", { text: "is it good" }, "init text takes a text and the others none"],
    ["soft_prompt", { init: "text", text: 3 }, "text 3: must be a text"],
    [
      "soft_prompt",
      { semantics: "peft", init: "vocabulary" },
      'Cannot use soft_prompt under peft semantics with init "vocabulary": must be random or text',
    ],
    ["soft_prompt", { semantics: "opendelta", init: "text", text: "a" }, "under opendelta"],
    ["soft_prompt", { tokens: 0 }, "tokens 0"],
    ["soft_prompt", { tokens: -1 }, "tokens -1"],
    ["soft_prompt", { init: "zeros" }, "vocabulary or random or text"],
  ];
  for (const [name, options, message] of bad) {
    assertThrows(() => methods[name].parse(options), RangeError, message);
  }
});

Deno.test("a prompt can start from a text's tokens, repeated to its length", () => {
  const options = methods.soft_prompt.parse({ tokens: 3, init: "text", text: "is+good" });
  assertEquals(methods.soft_prompt.label(options), 'Soft prompt, 3 tokens, from "is good"');
  const base = randomWeights(model().scope.select(), 7);
  const table = base.get("model.embed_tokens.weight")!;
  const start = (encode?: (text: string) => number[]) => {
    const { delta } = attachMethod({ ...model(), encode }, methods.soft_prompt, options);
    return initialValues(delta.parameters.get("prompt_embeddings")!, 0, base);
  };
  const row = (id: number) => [...table.subarray(24 * id, 24 * (id + 1))];
  const found = start((text) => text === "is good" ? [5, 117] : []);
  assertEquals([...found], [...row(5), ...row(117), ...row(5)]);
  assertThrows(() => start(() => []), RangeError, 'from "is good": it has no tokens');
  assertThrows(() => start(), RangeError, "there is no tokenizer here");
});

Deno.test("a LoRA target that matches no layer lists those that there are", () => {
  assertThrows(
    () => attachMethod(model(), methods.lora, methods.lora.parse({ targets: "q_proj+query" })),
    RangeError,
    'Cannot attach lora: target "query" matches no layer; found q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, score',
  );
  const targets = "x".repeat(20_000);
  const error = assertThrows(
    () => attachMethod(model(), methods.lora, methods.lora.parse({ targets })),
    RangeError,
    'x…" matches no layer',
  );
  assert(error.message.length < 500, error.message);
});

Deno.test("IA3 refuses a feed-forward name that is none of its targets", () => {
  const attach = (options: MethodOptions) =>
    attachMethod(model(), methods.ia3, methods.ia3.parse(options));
  const wrong: MethodOptions[] = [
    { feedforward: "wo" },
    { targets: "k_proj", feedforward: "down_proj" },
  ];
  for (const options of wrong) {
    assertThrows(
      () => attach(options),
      RangeError,
      `Cannot attach ia3: feedforward "${options.feedforward}" is none of its targets; found k_proj`,
    );
  }
  assertEquals(attach({ feedforward: "up_proj" }).delta.select().length, 2 * 3);
});

Deno.test("LoRA attaches to the layers whose paths end in its targets", () => {
  const attached = attachMethod(
    model(),
    methods.lora,
    methods.lora.parse({ targets: "mlp.up_proj" }),
  );
  assertEquals(attached.delta.select().map(({ name }) => name), [
    "model.layers.0.mlp.up_proj.lora_A.weight",
    "model.layers.0.mlp.up_proj.lora_B.weight",
    "model.layers.1.mlp.up_proj.lora_A.weight",
    "model.layers.1.mlp.up_proj.lora_B.weight",
  ]);
});
