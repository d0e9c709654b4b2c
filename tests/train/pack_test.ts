import { assert, assertEquals } from "@std/assert";
import { gpuTest } from "../check_op.ts";
import { bertConfig, gpt2Config, llamaConfig, t5Config } from "../small_models.ts";
import { Random } from "../../lib/data/random.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { Session, type Values } from "../../lib/gpu/session.ts";
import { variableAttributes } from "../../lib/graph/leaves.ts";
import { type Precision, storagePolicy } from "../../lib/graph/precision.ts";
import { elements } from "../../lib/graph/shape.ts";
import { buildModel } from "../../lib/models/index.ts";
import { methods } from "../../lib/peft/index.ts";
import { type Attached, attachMethod, fullPrecisionNames } from "../../lib/peft/method.ts";
import { attachPack } from "../../lib/peft/pack.ts";
import { packGraphs, SHARE } from "../../lib/train/graphs.ts";
import { initialValues, randomWeights } from "../../lib/train/initialize.ts";
import { EXAMPLE_INPUTS } from "../../lib/train/kept_features.ts";
import { tileRows } from "../../lib/train/pack_rows.ts";
import { trainSettings } from "../../lib/train/settings.ts";
import { type PackedProgram, shareRows } from "../../lib/train/shared_rows.ts";
import { type Encoded, makeTask } from "../../lib/train/task.ts";

/** Labels in words of unequal length, so that a batch's labels are not its examples. */
const WORDS = { words: ["no", "yes", "maybe"], ids: [[11], [100, 12], [31, 7, 9]] };
const STEPS = 3;
const SEED = 3;

/** A method as text, and a learning rate. */
type CellSpec = readonly [method: string, rate: number];

interface Setup {
  readonly config: Record<string, unknown>;
  readonly head?: boolean;
  /** Rows of a cell; with some, no share of a tensor can be bound at its place. */
  readonly size?: number;
  readonly precision?: Precision;
  readonly recompute?: boolean;
  readonly frozenDropout?: number;
  readonly weights?: readonly number[];
}

function parsed(text: string) {
  const [name, options = ""] = text.split(":");
  const entries = options.split(";").filter((one) => one !== "").map((one) => {
    const [key, value] = one.split("=");
    const plain = value === "true" ? true : value === "false" ? false : value;
    return [key, typeof plain === "string" && !isNaN(Number(plain)) ? Number(plain) : plain];
  });
  return { method: methods[name], options: methods[name].parse(Object.fromEntries(entries)) };
}

/** Examples whose length is that of one bucket. */
function examples(count: number): Encoded[] {
  const random = new Random(5, "examples");
  return Array.from({ length: count }, () => {
    const label = random.below(3);
    const ids = Array.from({ length: 3 + random.below(5) }, () => 40 + random.below(80));
    return { ids: [10 + label, ...ids], label };
  });
}

/** What some steps of one cell lead to, by name. */
type Found = Map<string, Float32Array>;

/** Names of what trains. */
function trained({ trainable }: Attached): string[] {
  return trainable.map(({ node }) => variableAttributes(node).name);
}

/** Runs some steps of cells in one program; of one cell as it is run alone. */
async function run(gpu: Gpu, setup: Setup, cells: readonly CellSpec[]): Promise<Found[]> {
  const { config, head = false, size = 6, precision, recompute = false, weights = null } = setup;
  const model = buildModel(config, { classes: 3, head });
  const specs = cells.map(([text]) => parsed(text));
  const attached: Attached[] = cells.length === 1
    ? [attachMethod(model, specs[0].method, specs[0].options)]
    : attachPack(model, specs, SHARE);
  const task = makeTask(model, 0, model.textToText ? WORDS : null, weights);
  const { updates, backward, scores: own } = packGraphs(
    {
      cells: attached.map((one, i) => ({
        attached: one,
        settings: trainSettings({
          learningRate: cells[i][1],
          frozenDropout: setup.frozenDropout ?? 0,
        }),
      })),
      ...{ task, precision },
    },
    STEPS,
    recompute,
  );
  const full = attached.flatMap((one) => fullPrecisionNames(one));
  const session = new Session(gpu, storagePolicy(precision ?? "f32", full));
  try {
    const sizes = { B: cells.length * size, R: size, T: 8 };
    const trainedNames = attached.flatMap((one) => trained(one));
    const share = (program: PackedProgram) =>
      cells.length === 1 || recompute ? program : shareRows(program, {
        ...{ inputs: EXAMPLE_INPUTS, trained: new Set(trainedNames) },
        shares: { of: cells.length, count: SHARE },
      });
    const { keep: [scores] } = share({ roots: [], keep: [own] });
    const training = session.program(share({ roots: backward!, keep: [] }).roots, sizes);
    const updating = session.program(updates.flatMap((update) => update?.roots ?? []), {});
    const scoring = session.program([scores], sizes, [scores]);
    await session.build();
    session.poison();
    const base = randomWeights(model.scope.select(), 1);
    for (const { name } of model.scope.select()) session.upload(name, base.get(name)!);
    for (const { trainable, delta } of attached) {
      for (const parameter of new Set([...trainable, ...delta.select()])) {
        const values = base.get(parameter.name) ?? initialValues(parameter, SEED, base);
        session.upload(variableAttributes(parameter.node).name, values);
      }
    }
    for (const [name, values] of updates.flatMap((update) => [...update?.initial ?? []])) {
      session.upload(name, values);
    }
    session.upload("seed", Uint32Array.of(SEED));
    const all = examples(size);
    const rows = { examples: all, indices: all.map((_, i) => i), size, length: 8 };
    const write = (program: typeof training, values: Record<string, Values>) =>
      session.write(program, tileRows(program, values, cells.length));
    const found: Found[] = cells.map(() => new Map());
    const read = async (what: string, variables: (cell: Attached, i: number) => string[]) => {
      for (const [i, one] of attached.entries()) {
        const names = variables(one, i);
        const values = await session.readVariables(names);
        names.forEach((name) => {
          found[i].set(`${what} ${name.replace(/^cells\.\d+\//, "")}`, values.get(name)!);
        });
      }
    };
    for (let step = 0; step < STEPS; step++) {
      write(training, task.trainingInputs(rows));
      session.run([training]);
      await read(`gradient ${step}`, (one) => trained(one).map((name) => `${name}.grad`));
      session.run([updating]);
      await read(`step ${step}`, trained);
      write(scoring, task.scoringInputs(rows));
      session.run([scoring]);
      const [values] = await session.read(scoring, [scores]);
      const length = elements([size, 3]);
      found.forEach((cell, i) =>
        cell.set(`scores ${step}`, values.slice(i * length, (i + 1) * length))
      );
    }
    await read(
      "",
      (_, i) => updates[i] === null ? [] : [variableAttributes(updates[i].losses).name],
    );
    return found;
  } finally {
    session.destroy();
  }
}

/** Every cell must be to the bit what it is alone. */
async function expectSolo(gpu: Gpu, setup: Setup, cells: readonly CellSpec[]): Promise<Found[]> {
  const packed = await run(gpu, setup, cells);
  for (const [i, cell] of cells.entries()) {
    const [alone] = cell[0] === "zero_shot" ? [new Map()] : await run(gpu, setup, [cell]);
    for (const [name, values] of alone) {
      const own = packed[i].get(name)!;
      const at = values.findIndex((value: number, e: number) => !Object.is(value, own[e]));
      const difference = at < 0 ? "" : `element ${at} is ${own[at]}, alone ${values[at]}`;
      assertEquals(difference, "", `${cell[0]}, ${name}`);
    }
  }
  return packed;
}

const SIDE_BY_SIDE: readonly CellSpec[] = [
  ["lora:rank=1", 1e-2],
  ["lora:rank=5;alpha=3;dropout=0.3", 3e-3],
  ["lora:rank=2;dora=true", 1e-2],
  ["lora:rank=2;init=pissa", 1e-2],
  ["adapter:bottleneck=3", 5e-3],
  ["adapter:placement=pfeiffer;bottleneck=4;activation=gelu", 5e-3],
  ["adapter:placement=houlsby;bottleneck=2", 5e-3],
  ["adapter:placement=parallel;bottleneck=2", 5e-3],
  ["ia3", 1e-2],
  ["lora:rank=2", 1e-1],
  ["zero_shot", 1],
];

for (
  const [family, config, head] of [
    ["T5", t5Config, false],
    ["T5 with a head", t5Config, true],
    ["BERT", bertConfig, true],
    ["GPT-2", gpt2Config, true],
    ["Llama", llamaConfig, true],
  ] as const
) {
  gpuTest(`${family}: methods side by side are to the bit what they are alone`, async (gpu) => {
    const heads: CellSpec[] = head ? [["head", 2e-2]] : [];
    const packed = await expectSolo(gpu, { config, head }, [...heads, ...SIDE_BY_SIDE]);
    const [first] = packed[0].get(`scores ${STEPS - 1}`)!;
    assert(packed.slice(1).some((cell) => cell.get(`scores ${STEPS - 1}`)![0] !== first));
  });

  gpuTest(`${family}: shares that no buffer can be bound at are copied`, async (gpu) => {
    await expectSolo(gpu, { config, head, size: 5 }, SIDE_BY_SIDE.slice(0, 6));
  });

  gpuTest(`${family}: prompts and prefixes of one length share a program`, async (gpu) => {
    const setup = { config, head };
    await expectSolo(gpu, setup, [["soft_prompt:tokens=3", 0.1], ["soft_prompt:tokens=3", 0.3]]);
    await expectSolo(gpu, setup, [["prefix:tokens=2", 0.01], ["prefix:tokens=2", 0.03]]);
  });
}
