/**
 * Every kernel family besides matmul, through its operation: the forward pass, and forward and
 * backward pass, at sizes of real steps.
 *
 * @module
 */

import type { Gpu } from "../lib/gpu/device.ts";
import { Session, type Values } from "../lib/gpu/session.ts";
import { differentiate } from "../lib/graph/differentiate.ts";
import { input, inputAttributes, variable, variableAttributes } from "../lib/graph/leaves.ts";
import { type Node, storage, topological } from "../lib/graph/node.ts";
import { byteLength } from "../lib/graph/node.ts";
import { attend, keyValueSite } from "../lib/layers/attention.ts";
import { Scope } from "../lib/layers/scope.ts";
import { gelu, relu, silu } from "../lib/ops/activations.ts";
import { crossEntropy } from "../lib/ops/cross_entropy.ts";
import { dropout } from "../lib/ops/dropout.ts";
import { add, multiply } from "../lib/ops/elementwise.ts";
import { embedding } from "../lib/ops/embedding.ts";
import { layerNorm } from "../lib/ops/layer_norm.ts";
import { relativeBias } from "../lib/ops/relative_bias.ts";
import { rmsNorm } from "../lib/ops/rms_norm.ts";
import { sum } from "../lib/ops/sum.ts";
import { buildUpdate } from "../lib/train/optimizer.ts";
import type { BenchOptions } from "./main.ts";
import { measure, type Work } from "./measure.ts";
import { peakOf } from "./peak.ts";
import { random } from "./random.ts";
import type { Row } from "./report.ts";
import { ADAMW, BERT_TINY, LEARNING_RATE, modelOf } from "./workload.ts";

interface Case {
  readonly family: string;
  readonly shape: string;
  /** The result, or an update program's roots. */
  readonly build: () => { readonly y: Node; readonly wrt: readonly Node[] } | readonly Node[];
  /** Bytes that must be moved, where only part of a leaf is touched. */
  readonly bytes?: { readonly forward: number; readonly both: number };
  /** Values of inputs. */
  readonly inputs?: Readonly<Record<string, Values>>;
}

const leaf = (name: string, ...shape: number[]) => variable(name, shape, "weight");

function elementwise(
  family: string,
  rows: number,
  width: number,
  f: (x: Node, y: Node) => Node,
): Case {
  return {
    family,
    shape: `${rows}×${width}`,
    build: () => {
      const [x, y] = [leaf("x", rows, width), leaf("y", rows, width)];
      const z = f(x, y);
      return { y: z, wrt: topological([z]).filter((node) => node === x || node === y) };
    },
  };
}

function norm(kind: "rms_norm" | "layer_norm", rows: number, width: number): Case {
  return {
    family: kind,
    shape: `${rows}×${width}`,
    build: () => {
      const [x, w, b] = [leaf("x", rows, width), leaf("w", width), leaf("b", width)];
      return kind === "rms_norm"
        ? { y: rmsNorm(x, w, 1e-6), wrt: [x, w] }
        : { y: layerNorm(x, w, b, 1e-12), wrt: [x, w, b] };
    },
  };
}

/** B examples, H heads, T queries on as many keys, D channels a head. */
function attention(what: string, b: number, h: number, t: number, d: number): Case {
  const t5 = what === "T5's bias";
  return {
    family: "attention",
    shape: `${b}·${h}×${t}×${d} ${what}`,
    build: () => {
      const [q, k, v] = ["q", "k", "v"].map((name) => leaf(name, b, t, h, d));
      const table = leaf("bias", 32, h);
      const site = keyValueSite(new Scope(), {
        ...{ path: "bench", heads: h, headSize: d, stack: "encoder", attention: "self", layer: 0 },
      });
      const { output } = attend(q, { keys: k, values: v, mask: leaf("mask", b, t) }, {
        site,
        ...t5
          ? {
            bias: () =>
              relativeBias(table, {
                ...{ queries: t, keys: t, buckets: 32, maxDistance: 128, bidirectional: true },
              }),
          }
          : { scale: d ** -0.5 },
      }, {});
      return { y: output, wrt: [q, k, v] };
    },
  };
}

function classes(rows: number, count: number): Case {
  return {
    family: "cross_entropy",
    shape: `${rows}×${count}`,
    build: () => {
      const x = leaf("x", rows, count);
      return { y: crossEntropy(x, input("labels", [rows], "i32")), wrt: [x] };
    },
    inputs: { labels: Int32Array.from({ length: rows }, (_, i) => i % count) },
  };
}

function lookup(rows: number, height: number, width: number): Case {
  const ids = Uint32Array.from({ length: rows }, (_, i) => (i * 577) % height);
  const touched = 4 * rows * width;
  return {
    family: "embedding",
    shape: `${rows} of ${height}×${width}`,
    build: () => {
      const table = leaf("table", height, width);
      return { y: embedding(table, input("ids", [rows], "u32")), wrt: [table] };
    },
    // The gradient is a whole table here; a step adds the touched rows into its own.
    bytes: { forward: 2 * touched, both: 3 * touched + 4 * height * width },
    inputs: { ids },
  };
}

function dropping(batch: number, length: number, width: number): Case {
  return {
    family: "dropout",
    shape: `${batch}×${length}×${width}`,
    build: () => {
      const x = leaf("x", batch, length, width);
      const control = (name: string) => variable(name, [1], "control", "u32");
      const examples = input("examples", [batch], "u32");
      const keys = { examples, step: control("step"), seed: control("seed") };
      return { y: dropout(x, { probability: 0.1, site: "bench", ...keys }), wrt: [x] };
    },
    inputs: { examples: Uint32Array.from({ length: batch }, (_, i) => i) },
  };
}

/** Clipping by global norm and the optimizer's step over tensors of some shapes. */
function update(
  optimizer: "adamw" | "adafactor",
  what: string,
  shapes: readonly (readonly number[])[],
): Case {
  return {
    family: `grad norm + ${optimizer}`,
    shape: what,
    build: () =>
      buildUpdate({
        optimizer,
        parameters: shapes.map((shape, i) => variable(`p${i}`, shape, "trainable")),
        ...{ steps: 2, schedule: "constant", warmupSteps: 0, learningRate: LEARNING_RATE },
        ...ADAMW,
        ...{ decay: "all", clipNorm: 1 },
      }).roots,
    bytes: updateBytes(optimizer, shapes),
  };
}

/** Gradient read for the norm; gradient, parameter (and both moments) read and written. */
function updateBytes(optimizer: "adamw" | "adafactor", shapes: readonly (readonly number[])[]) {
  const count = shapes.reduce((total, shape) => total + shape.reduce((a, b) => a * b, 1), 0);
  const forward = 4 * count * (optimizer === "adamw" ? 9 : 5);
  return { forward, both: forward };
}

const bertShapes = () => modelOf(BERT_TINY).attached.trainable.map(({ shape }) => shape);
const loraShapes = () => Array.from({ length: 72 }, (_, i) => i % 2 === 0 ? [8, 512] : [512, 8]);

function cases(): Case[] {
  return [
    attention("BERT-tiny", 16, 2, 32, 64),
    attention("T5's bias", 32, 8, 64, 64),
    attention("long", 2, 8, 512, 64),
    norm("rms_norm", 2048, 512),
    norm("layer_norm", 512, 128),
    norm("layer_norm", 2048, 768),
    classes(16, 2),
    classes(64, 32128),
    classes(512, 30522),
    lookup(512, 30522, 128),
    lookup(2048, 32128, 512),
    elementwise("add", 2048, 512, add),
    elementwise("add three", 2048, 512, (x, y) => add(add(x, y), x)),
    elementwise("relu", 2048, 2048, relu),
    elementwise("gelu", 512, 512, gelu),
    elementwise("silu · up", 1024, 2048, (x, y) => multiply(silu(x), y)),
    {
      family: "sum of columns",
      shape: "2048×512",
      build: () => {
        const x = leaf("x", 2048, 512);
        return { y: sum(x, 0, 1), wrt: [x] };
      },
    },
    dropping(32, 64, 512),
    update("adamw", "BERT-tiny, all", bertShapes()),
    update("adamw", "T5-small LoRA, 72 tensors", loraShapes()),
    update("adamw", "one of 32128×512", [[32128, 512]]),
    update("adafactor", "BERT-tiny, all", bertShapes()),
  ];
}

/** Milliseconds and GB/s of every family; matmul has a bench of its own. */
export async function benchKernels(
  gpu: Gpu,
  { filter, quick, print }: BenchOptions,
): Promise<Row[]> {
  const rows: Row[] = [];
  const seen = new Set<string>();
  for (const one of cases()) {
    if (!`${one.family} ${one.shape}`.includes(filter)) continue;
    if (quick && seen.has(one.family)) continue;
    seen.add(one.family);
    print(`${one.family} ${one.shape}`);
    rows.push(...await benchCase(gpu, one));
  }
  return rows;
}

async function benchCase(gpu: Gpu, { family, shape, build, bytes, inputs }: Case): Promise<Row[]> {
  const session = new Session(gpu);
  try {
    const built = build();
    const passes: [string, readonly Node[]][] = [];
    if ("y" in built) {
      const { y, wrt } = built;
      const g = variable("g", y.shape as number[], "weight");
      const gradients = differentiate(y, g, wrt, add);
      const towards = [...gradients.values()].map((parts) => parts.reduce(add));
      passes.push(["forward", [y]], ["both", [y, ...towards]]);
    } else {
      passes.push(["update", built]);
    }
    const programs = passes.map(([, roots]) => session.program(roots, {}));
    await session.build();
    for (
      const [name, node] of session.variables(["weight", "trainable", "gradient", "optimizer"])
    ) {
      const { shape, dtype } = variableAttributes(node);
      if (dtype !== "f32") continue;
      const values = random(shape.reduce((a, b) => a * b, 1), name.length);
      const ones = name === "mask" || name.includes("moment");
      session.upload(name, ones ? values.fill(1) : values);
    }
    for (const program of programs) {
      const given = [...program.inputs.values()].map((node) => inputAttributes(node).name);
      if (given.length > 0) session.write(program, inputs!);
    }
    const works = programs.map((program, i): Work => ({
      name: passes[i][0],
      submit: (count) => session.run(Array(count).fill(program)),
    }));
    const peak = await peakOf(gpu);
    const timings = await measure(gpu, works);
    return timings.map(({ name, median, spread }, i) => {
      const moved = bytes?.[name === "both" ? "both" : "forward"] ?? leastBytes(passes[i][1]);
      const gbps = moved / median / 1e6;
      return {
        kernel: family,
        shape,
        pass: name === "both" ? "forward + backward" : name,
        launches: programs[i].dispatches,
        "median ms": median,
        "± %": 100 * spread,
        "GB/s": gbps,
        "of peak": gbps / peak.gbps,
      };
    });
  } finally {
    session.destroy();
  }
}

/** Bytes of all leaves read and all roots written: what no fusion can save. */
function leastBytes(roots: readonly Node[]): number {
  const leaves = topological(roots).filter(({ op }) => op.leaf !== undefined);
  return [...leaves, ...new Set(roots.map(storage))].reduce(
    (total, node) => total + byteLength(node, {}),
    0,
  );
}
