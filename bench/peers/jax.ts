/**
 * jax-js on WebGPU: a product, and a whole training step of BERT by its own grad and jit.
 *
 * An array is used up by what reads it, unless it is read as `x.ref`.
 *
 * @module
 */

import { readSafetensors } from "../../lib/formats/safetensors.ts";
import { COMPARED_STEPS, type Engine, type Job, type ModelJob, type Task } from "./protocol.ts";

/** The version compared with; named at run time alone, so that nobody fetches it unasked. */
const VERSION = "0.1.25";

/** An array of it. */
interface Arr {
  readonly ref: Arr;
  dispose(): void;
  data(): Promise<Float32Array>;
  /** Submits what computes it, which is lazy otherwise, and uses it up. */
  gpuBufferSync(): GPUBuffer;
  add(other: Arr | number): Arr;
  sub(other: Arr | number): Arr;
  mul(other: Arr | number): Arr;
  div(other: Arr | number): Arr;
  neg(): Arr;
  sum(axis?: number): Arr;
  mean(axis?: number, options?: { keepdims: boolean }): Arr;
  reshape(shape: readonly number[]): Arr;
  transpose(axes?: readonly number[]): Arr;
  slice(...index: (number | [] | readonly [number, number] | Arr)[]): Arr;
}

type Tree = Record<string, Arr>;

/** What is used of it. */
interface Jax {
  init(): Promise<string[]>;
  defaultDevice(device: string): void;
  getWebGPUDevice(): GPUDevice;
  jit<F>(f: F): F;
  valueAndGrad(f: (parameters: Tree) => Arr): (parameters: Tree) => [Arr, Tree];
  numpy: {
    array(
      values: Float32Array | Int32Array,
      options?: { shape?: readonly number[]; dtype?: string },
    ): Arr;
    zerosLike(x: Arr): Arr;
    matmul(a: Arr, b: Arr): Arr;
    sqrt(x: Arr): Arr;
    square(x: Arr): Arr;
    tanh(x: Arr): Arr;
  };
  nn: {
    gelu(x: Arr, options: { approximate: boolean }): Arr;
    softmax(x: Arr, axis: number): Arr;
    logSoftmax(x: Arr, axis: number): Arr;
  };
}

/**
 * Lets its scatter, the gradient of a lookup, run in Deno: it passes a pointer into storage to a
 * function, which browsers take and naga does not, so the function's body is written in its place.
 */
function inlineAtomicAdd(): void {
  const create = GPUDevice.prototype.createShaderModule;
  GPUDevice.prototype.createShaderModule = function (descriptor) {
    const code = descriptor.code.replace(
      /\batomic_add_f32\(&(\w+\[\w+\]), (\w+\[\w+\])\);/g,
      `var old_bits = atomicLoad(&$1);
      loop {
        let sum = bitcast<u32>(bitcast<f32>(old_bits) + $2);
        let result = atomicCompareExchangeWeak(&$1, old_bits, sum);
        if (result.exchanged) { break; }
        old_bits = result.old_value;
      }`,
    ).replace(/fn atomic_add_f32\([^]*?\n}/, "");
    return create.call(this, { ...descriptor, code });
  };
}

/** Loads it and takes the adapter. */
export async function openJax(): Promise<Engine> {
  inlineAtomicAdd();
  const jax: Jax = await import(`npm:@jax-js/jax@${VERSION}`);
  if (!(await jax.init()).includes("webgpu")) throw new Error("its WebGPU backend does not start");
  jax.defaultDevice("webgpu");
  const adapter = await navigator.gpu.requestAdapter();

  async function matmul({ size, weights }: Job): Promise<Task> {
    const file = await readSafetensors(weights);
    const read = async (name: string) =>
      jax.numpy.array(await file.read(name), { shape: [size, size] });
    const [a, b] = [await read("a"), await read("b")];
    const product = jax.jit((a: Arr, b: Arr) => jax.numpy.matmul(a, b));
    const values = [...(await product(a.ref, b.ref).data()).subarray(0, size)];
    return {
      values,
      run: async (count) => {
        for (let i = 0; i < count; i++) product(a.ref, b.ref).gpuBufferSync();
        await jax.getWebGPUDevice().queue.onSubmittedWorkDone();
      },
      release: () => [a, b].forEach((array) => array.dispose()),
    };
  }

  return {
    hello: {
      engine: "@jax-js/jax, WebGPU",
      version: VERSION,
      device: adapter?.info.description ?? "unknown",
      software: adapter?.info.isFallbackAdapter ?? false,
    },
    prepare: async (job) => {
      if (job.kind === "matmul") return await matmul(job);
      const { model } = job;
      const written = job.kind === "step" && model!.config.model_type === "bert" &&
        model!.method === "full" && model!.precision === "f32";
      return written ? await bertStep(jax, job.weights, model!) : null;
    },
  };
}

/** A training step of BERT with a classification head. */
async function bertStep(jax: Jax, path: string, model: ModelJob): Promise<Task> {
  const { numpy: np, nn } = jax;
  const { config, batch: B, length: T, optimizer } = model;
  const file = await readSafetensors(path);
  const first: Tree = {};
  for (const name of file.names()) {
    const { shape } = file.info(name);
    first[name] = np.array(await file.read(name), { shape });
  }
  const heads = Number(config.num_attention_heads);
  const C = Number(config.hidden_size);
  const D = C / heads;
  const epsilon = Number(config.layer_norm_eps);
  const ints = (values: readonly number[], shape: readonly number[]) =>
    np.array(Int32Array.from(values), { shape, dtype: "int32" });
  const ids = ints(model.ids.flat(), [B, T]);
  const labels = model.labels as readonly number[];
  const chosen = np.array(
    Float32Array.from(labels.flatMap((label) => [label === 0 ? 1 : 0, label === 1 ? 1 : 0])),
    { shape: [B, 2] },
  );

  const loss = (p: Tree, ids: Arr, chosen: Arr): Arr => {
    const linear = (x: Arr, name: string) =>
      np.matmul(x, p[`${name}.weight`].ref.transpose()).add(p[`${name}.bias`].ref);
    const norm = (x: Arr, name: string) => {
      const centred = x.ref.sub(x.mean(-1, { keepdims: true }));
      const variance = np.square(centred.ref).mean(-1, { keepdims: true });
      return centred.div(np.sqrt(variance.add(epsilon)))
        .mul(p[`${name}.weight`].ref).add(p[`${name}.bias`].ref);
    };
    const e = "bert.embeddings";
    const words = p[`${e}.word_embeddings.weight`].ref.slice(ids);
    const positions = p[`${e}.position_embeddings.weight`].ref.slice([0, T]);
    const types = p[`${e}.token_type_embeddings.weight`].ref.slice([0, 1]);
    let x = norm(words.add(positions).add(types), `${e}.LayerNorm`).reshape([B * T, C]);
    const split = (y: Arr) => y.reshape([B, T, heads, D]).transpose([0, 2, 1, 3]);
    for (let i = 0; i < Number(config.num_hidden_layers); i++) {
      const path = `bert.encoder.layer.${i}`;
      const [q, k, v] = ["query", "key", "value"].map((name) =>
        split(linear(x.ref, `${path}.attention.self.${name}`))
      );
      const scores = np.matmul(q, k.transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(D));
      const context = np.matmul(nn.softmax(scores, -1), v).transpose([0, 2, 1, 3]);
      const output = linear(context.reshape([B * T, C]), `${path}.attention.output.dense`);
      x = norm(output.add(x), `${path}.attention.output.LayerNorm`);
      const inner = nn.gelu(linear(x.ref, `${path}.intermediate.dense`), { approximate: false });
      x = norm(linear(inner, `${path}.output.dense`).add(x), `${path}.output.LayerNorm`);
    }
    const pooled = np.tanh(linear(x.reshape([B, T, C]).slice([], 0), "bert.pooler.dense"));
    const logits = linear(pooled, "classifier");
    const total = nn.logSoftmax(logits, -1).mul(chosen).sum().neg().div(B);
    for (const parameter of Object.values(p)) parameter.dispose();
    return total;
  };

  const { learningRate, beta1, beta2, weightDecay } = optimizer;
  const step = jax.jit(
    (p: Tree, m: Tree, v: Tree, t: Arr, ids: Arr, chosen: Arr): [Arr, Tree, Tree, Tree] => {
      const refs = Object.fromEntries(Object.entries(p).map(([name, one]) => [name, one.ref]));
      const [value, gradients] = jax.valueAndGrad((own) => loss(own, ids, chosen))(refs);
      const next: [Tree, Tree, Tree] = [{}, {}, {}];
      for (const name of Object.keys(p)) {
        const g = gradients[name];
        const first = m[name].mul(beta1).add(g.ref.mul(1 - beta1));
        const second = v[name].mul(beta2).add(np.square(g).mul(1 - beta2));
        // t: [1/(1−β1^t), 1/(1−β2^t)].
        const mean = first.ref.mul(t.ref.slice(0));
        const root = np.sqrt(second.ref.mul(t.ref.slice(1))).add(optimizer.epsilon);
        next[0][name] = p[name].mul(1 - learningRate * weightDecay)
          .sub(mean.div(root).mul(learningRate));
        next[1][name] = first;
        next[2][name] = second;
      }
      t.dispose();
      return [value, ...next];
    },
  );

  const zeros = () =>
    Object.fromEntries(Object.entries(first).map(([name, one]) => [name, np.zerosLike(one.ref)]));
  let [p, m, v] = [first, zeros(), zeros()];
  let steps = 0;
  const once = (): Arr => {
    steps++;
    const t = np.array(Float32Array.of(1 / (1 - beta1 ** steps), 1 / (1 - beta2 ** steps)));
    let value: Arr;
    [value, p, m, v] = step(p, m, v, t, ids.ref, chosen.ref);
    return value;
  };
  const values: number[] = [];
  for (let i = 0; i < COMPARED_STEPS; i++) values.push((await once().data())[0]);
  return {
    values,
    run: async (count) => {
      for (let i = 0; i < count; i++) once().gpuBufferSync();
      await jax.getWebGPUDevice().queue.onSubmittedWorkDone();
    },
    release: () => {
      for (const tree of [p, m, v]) for (const array of Object.values(tree)) array.dispose();
      ids.dispose();
      chosen.dispose();
    },
  };
}
