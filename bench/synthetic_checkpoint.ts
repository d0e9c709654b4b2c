/**
 * A model's folder as Hugging Face writes it, of any size, with values that the seed draws: what
 * loading, planning and a forward pass take does not depend on what the weights were trained to.
 *
 * @module
 */

import { statfs } from "node:fs/promises";
import { Random } from "../lib/data/random.ts";
import { writeFileAtomic } from "../lib/formats/atomic.ts";
import { encodeHeader } from "../lib/formats/safetensors.ts";
import { elements } from "../lib/graph/shape.ts";
import type { Initializer, Parameter } from "../lib/layers/scope.ts";
import type { RawConfig } from "../lib/models/config.ts";
import { buildModel } from "../lib/models/index.ts";

/** How a checkpoint is written. */
export interface CheckpointOptions {
  /** Together with a parameter's name decides its values. */
  readonly seed: number;
  /** Bytes that a shard holds at most, unless one tensor alone has more. */
  readonly shardBytes: number;
}

/** What was written. */
export interface WrittenCheckpoint {
  readonly parameters: number;
  /** Bytes of the tensors. */
  readonly bytes: number;
  /** Names of the shards. */
  readonly shards: readonly string[];
}

/** Bytes written at a time: all that is held of the values. */
const PIECE = 2 ** 23;
/** Values that a normal distribution is drawn from: 16 random bits choose one. */
const TABLE = 2 ** 16;
/** 1 in bf16. */
const ONE = 0x3f80;

/**
 * Writes `config.json`, a tokenizer of single bytes, bf16 shards and, last, their index. Equal
 * options give equal bytes; each file is written atomically, in pieces.
 *
 * @param dir Exists.
 * @throws RangeError where the folder has too little room, Error where a file cannot be written.
 */
export async function writeCheckpoint(
  dir: string,
  config: RawConfig,
  { seed, shardBytes }: CheckpointOptions,
): Promise<WrittenCheckpoint> {
  const { scope, head } = buildModel(config, { classes: 2, head: false });
  const tensors = scope.select((name) => !head.includes(name));
  const parameters = tensors.reduce((sum, { shape }) => sum + elements(shape), 0);
  const bytes = 2 * parameters;
  await checkRoom(dir, bytes);
  const shards = split(tensors, shardBytes);
  const padded = (count: number) => String(count).padStart(5, "0");
  const names = shards.map((_, i) =>
    `model-${padded(i + 1)}-of-${padded(shards.length)}.safetensors`
  );
  await writeJson(`${dir}/config.json`, { ...config, torch_dtype: "bfloat16" });
  const { tokenizer, tokenizerConfig } = byteTokenizer();
  await writeJson(`${dir}/tokenizer.json`, tokenizer);
  await writeJson(`${dir}/tokenizer_config.json`, tokenizerConfig);
  const tables = new Map<number, Uint16Array>();
  for (const [i, shard] of shards.entries()) {
    await writeFileAtomic(`${dir}/${names[i]}`, shardContent(shard, seed, tables));
  }
  await writeJson(`${dir}/model.safetensors.index.json`, {
    metadata: { total_size: bytes },
    weight_map: Object.fromEntries(
      shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]])),
    ),
  });
  return { parameters, bytes, shards: names };
}

/** Refuses what the folder's disk has no room for. */
async function checkRoom(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  if (bavail * bsize >= bytes) return;
  throw new RangeError(
    `Cannot write ${bytes} bytes to ${dir}: its disk has ${bavail * bsize} bytes free; name a ` +
      "folder on another one",
  );
}

function split(tensors: readonly Parameter[], most: number): Parameter[][] {
  const shards: Parameter[][] = [[]];
  let held = 0;
  for (const tensor of tensors) {
    const bytes = 2 * elements(tensor.shape);
    if (held > 0 && held + bytes > most) {
      shards.push([]);
      held = 0;
    }
    shards[shards.length - 1].push(tensor);
    held += bytes;
  }
  return shards;
}

function* shardContent(
  tensors: readonly Parameter[],
  seed: number,
  tables: Map<number, Uint16Array>,
): Generator<Uint8Array> {
  yield encodeHeader(
    tensors.map(({ name, shape }) => ({ name, shape, dtype: "BF16" })),
    { format: "pt" },
  );
  const piece = new Uint16Array(PIECE / 2);
  for (const { name, shape, initializer } of tensors) {
    const draw = drawer(name, initializer, seed, tables);
    const count = elements(shape);
    for (let from = 0; from < count; from += piece.length) {
      const part = piece.subarray(0, Math.min(piece.length, count - from));
      draw(part);
      yield new Uint8Array(part.buffer, 0, part.byteLength);
    }
  }
}

/** What fills piece after piece with a tensor's values in bf16. */
function drawer(
  name: string,
  initializer: Initializer,
  seed: number,
  tables: Map<number, Uint16Array>,
): (piece: Uint16Array) => void {
  if (initializer.kind === "zeros") return (piece) => void piece.fill(0);
  if (initializer.kind === "ones") return (piece) => void piece.fill(ONE);
  if (initializer.kind !== "normal") {
    throw new TypeError(`Cannot draw ${name}: ${initializer.kind} values are not for a checkpoint`);
  }
  const { deviation } = initializer;
  const table = tables.get(deviation) ?? normalTable(seed, deviation);
  tables.set(deviation, table);
  const random = new Random(seed, "checkpoint", name);
  return (piece) => {
    for (let i = 0; i < piece.length; i += 2) {
      const bits = random.uint32();
      piece[i] = table[bits >>> 16];
      if (i + 1 < piece.length) piece[i + 1] = table[bits & 0xffff];
    }
  };
}

/** Draws of a normal distribution, as bf16: the upper half of an f32, rounded to nearest. */
function normalTable(seed: number, deviation: number): Uint16Array {
  const random = new Random(seed, "checkpoint table", deviation);
  const values = Float32Array.from({ length: TABLE }, () => random.normal(0, deviation));
  return Uint16Array.from(new Uint32Array(values.buffer), (word) => (word + 0x8000) >>> 16);
}

/** A stand-in: a token for each byte, and a start of the text. */
function byteTokenizer(): {
  tokenizer: Record<string, unknown>;
  tokenizerConfig: Record<string, unknown>;
} {
  const start = { id: 256, content: "<s>" };
  const end = { id: 257, content: "</s>" };
  // Byte-level BPE writes bytes that cannot be seen as characters from U+0100 on.
  let beyond = 0x100;
  const seen = (byte: number) =>
    byte > 0x20 && byte < 0x7f || byte > 0xa0 && byte !== 0xad && byte < 0x100;
  const vocab = Object.fromEntries(
    Array.from({ length: 256 }, (_, byte) => [
      String.fromCharCode(seen(byte) ? byte : beyond++),
      byte,
    ]),
  );
  const flags = { single_word: false, lstrip: false, rstrip: false };
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: [start, end].map((one) => ({
        ...one,
        ...flags,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: { ...byteLevel, use_regex: true },
      post_processor: {
        type: "TemplateProcessing",
        single: [
          { SpecialToken: { id: start.content, type_id: 0 } },
          { Sequence: { id: "A", type_id: 0 } },
        ],
        pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
        special_tokens: {
          [start.content]: { id: start.content, ids: [start.id], tokens: [start.content] },
        },
      },
      decoder: { ...byteLevel, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        vocab: { ...vocab, [start.content]: start.id, [end.content]: end.id },
        merges: [],
      },
    },
    tokenizerConfig: {
      bos_token: start.content,
      eos_token: end.content,
      pad_token: end.content,
    },
  };
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, JSON.stringify(value, null, 2) + "\n");
}
