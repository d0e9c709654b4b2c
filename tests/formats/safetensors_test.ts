import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  encodeSafetensors,
  parseHeader,
  readSafetensors,
  type Tensor,
  writeSafetensors,
} from "../../lib/formats/safetensors.ts";
import { fixtureTest } from "../fixtures.ts";

/** A file of this header text and this many bytes of data. */
function made(header: string, dataBytes = 0, length?: bigint): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const entry = (dtype: unknown, shape: unknown, offsets: unknown) =>
  JSON.stringify({ dtype, shape, data_offsets: offsets });

function joined(pieces: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((n, piece) => n + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

async function withTemporary(bytes: Uint8Array, fn: (path: string) => Promise<void>) {
  const path = await Deno.makeTempFile({ suffix: ".safetensors" });
  try {
    await Deno.writeFile(path, bytes);
    await fn(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("parseHeader() reads names, kinds, places and metadata", () => {
  const header = `{"__metadata__":{"format":"pt"},"w":${entry("F32", [2, 3], [4, 28])},` +
    `"s":${entry("BF16", [], [0, 2])},"e":${entry("I64", [0, 5], [4, 4])},` +
    `"h":${entry("F16", [1], [2, 4])}}   `;
  const { tensors, metadata } = parseHeader(made(header, 28));
  assertEquals(metadata, { format: "pt" });
  assertEquals([...tensors.keys()], ["s", "h", "e", "w"]);
  const start = 8 + header.length;
  assertEquals(tensors.get("w"), {
    name: "w",
    dtype: "F32",
    shape: [2, 3],
    elements: 6,
    begin: start + 4,
    end: start + 28,
  });
  assertEquals(tensors.get("s")?.elements, 1);
  assertEquals(tensors.get("e")?.elements, 0);
  assertEquals(parseHeader(made("{}")).tensors.size, 0);
});

const w = (dtype: unknown, shape: unknown, offsets: unknown) =>
  `{"w":${entry(dtype, shape, offsets)}}`;
const lies: [what: string, bytes: Uint8Array, message: string][] = [
  ["nothing", new Uint8Array(0), "at least 8 bytes; found 0"],
  ["half a length", new Uint8Array(5), "at least 8 bytes; found 5"],
  ["a header of gigabytes", made("{}", 0, 5_000_000_000n), "claims 5000000000 bytes; at most"],
  ["the largest length", made("{}", 0, 2n ** 64n - 1n), "claims 18446744073709551615 bytes"],
  ["a header beyond the file", made("{}", 0, 3n), "claims 3 bytes, but only 2 follow; truncated"],
  ["no JSON", made("{..}"), "not valid JSON"],
  ["no object", made("[]"), "does not begin with {"],
  ["an empty header", made(""), "does not begin with {"],
  [
    "bad UTF-8",
    joined([made("", 0, 4n), new Uint8Array([0x7b, 0xff, 0x22, 0x7d])]),
    "not valid JSON",
  ],
  [
    "a name twice",
    made(`{"w":${entry("U8", [1], [0, 1])},"w":${entry("U8", [1], [0, 1])}}`, 1),
    'the key "w" is repeated',
  ],
  ["a name twice, escaped", made('{"w":1,"\\u0077":1}'), 'the key "w" is repeated'],
  ["metadata of numbers", made('{"__metadata__":{"a":1}}'), "__metadata__ must map"],
  ["a tensor that is none", made('{"w":[]}'), 'tensor "w" must have dtype'],
  ["no dtype", made('{"w":{"shape":[],"data_offsets":[0,4]}}', 4), 'tensor "w" has no dtype'],
  ["an unknown dtype", made(w("F33", [1], [0, 4]), 4), 'tensor "w" has unknown dtype "F33"'],
  ["an inherited dtype", made(w("toString", [1], [0, 4]), 4), "unknown dtype"],
  ["float8", made(w("F8_E4M3", [4], [0, 4]), 4), 'tensor "w" is F8_E4M3; float8 and quantised'],
  ["a negative size", made(w("F32", [-1], [0, 4]), 4), 'tensor "w" has shape [-1]'],
  ["half a size", made(w("F32", [0.5], [0, 2]), 2), 'tensor "w" has shape [0.5]'],
  ["no shape", made(w("F32", null, [0, 4]), 4), 'tensor "w" has shape null'],
  [
    "a product that overflows",
    made(w("F32", [2 ** 32, 2 ** 32, 2 ** 32], [0, 4]), 4),
    "79228162514264337593543950336 elements; too many",
  ],
  ["negative offsets", made(w("F32", [1], [-4, 0]), 4), 'tensor "w" has data_offsets [-4,0]'],
  ["fractional offsets", made(w("F32", [1], [0.5, 4.5]), 5), "two whole numbers"],
  [
    "huge offsets",
    made('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,1e400]}}', 4),
    "two whole",
  ],
  ["one offset", made(w("F32", [1], [4]), 4), "two whole numbers"],
  ["offsets reversed", made(w("F32", [1], [4, 0]), 4), "end before begin"],
  ["a wrong size", made(w("F32", [3], [0, 4]), 4), "spans 4 bytes, but shape [3] of F32 takes 12"],
  ["data that is cut off", made(w("F32", [4], [0, 16]), 15), 'tensor "w" ends at byte'],
  ["bytes at the end", made(w("F32", [1], [0, 4]), 5), '1 bytes after tensor "w" are nobody\'s'],
  ["a gap at the start", made(w("F32", [1], [4, 8]), 8), "4 bytes between the header and"],
  [
    "an overlap",
    made(`{"a":${entry("U8", [4], [0, 4])},"b":${entry("U8", [4], [3, 7])}}`, 7),
    'tensor "b" overlaps tensor "a" by 1 bytes',
  ],
  [
    "a hole",
    made(`{"a":${entry("U8", [4], [0, 4])},"b":${entry("U8", [4], [5, 9])}}`, 9),
    '1 bytes between tensor "a" and tensor "b" are nobody\'s',
  ],
];

for (const [what, bytes, message] of lies) {
  Deno.test(`parseHeader() refuses ${what}`, () => {
    const error = assertThrows(
      () => parseHeader(bytes, bytes.length, "x.safetensors"),
      Error,
      message,
    );
    assert((error as Error).message.startsWith("Cannot read x.safetensors: "));
  });
}

Deno.test("readSafetensors() refuses a header of gigabytes without reading it", async () => {
  await withTemporary(made("{}", 0, 99_000_000n), async (path) => {
    await assertRejects(() => readSafetensors(path), RangeError, `Cannot read ${path}: its header`);
  });
  await assertRejects(() => readSafetensors("none.safetensors"), Error, "no such file");
});

Deno.test("read() converts f16, bf16 and f64, and leaves integers to readRaw()", async () => {
  const header = `{"half":${entry("F16", [4], [0, 8])},"brain":${entry("BF16", [2], [8, 12])},` +
    `"double":${entry("F64", [2], [12, 28])},"count":${entry("I16", [1], [28, 30])}}`;
  const bytes = made(header, 30);
  const view = new DataView(bytes.buffer, 8 + header.length);
  [0x3c00, 0xc000, 0x0001, 0x7c00].forEach((bits, i) => view.setUint16(2 * i, bits, true));
  [0x3f80, 0xc049].forEach((bits, i) => view.setUint16(8 + 2 * i, bits, true));
  [0.1, -2].forEach((x, i) => view.setFloat64(12 + 8 * i, x, true));
  view.setInt16(28, 258, true);
  await withTemporary(bytes, async (path) => {
    const file = await readSafetensors(path);
    assertEquals(file.names(), ["brain", "count", "double", "half"]);
    assertEquals(await file.read("half"), new Float32Array([1, -2, 2 ** -24, Infinity]));
    assertEquals(await file.read("brain"), new Float32Array([1, -3.140625]));
    assertEquals(await file.read("double"), new Float32Array([0.1, -2]));
    assertEquals(await file.readRaw("count"), new Uint8Array([2, 1]));
    await assertRejects(() => file.read("count"), TypeError, "its elements are I16");
    const error = assertThrows(
      () => file.info("weight"),
      RangeError,
      'no tensor "weight"',
    ) as Error;
    assert(error.message.endsWith("found brain, count, double, half"));
  });
  view.setFloat64(12, 1e300, true);
  await withTemporary(bytes, async (path) => {
    const file = await readSafetensors(path);
    await assertRejects(() => file.read("double"), Error, "beyond the range of f32");
  });
});

Deno.test("readPart() gives what read() does, a part at a time", async () => {
  const types: [string, number][] = [["F64", 8], ["F32", 4], ["F16", 2], ["BF16", 2], ["I32", 4]];
  let at = 0;
  const header = types.map(([dtype, size]) =>
    `"${dtype}":${entry(dtype, [3, 4], [at, at += 12 * size])}`
  );
  const bytes = made(`{${header.join(",")}}`, at);
  // Bytes of finite numbers in every type.
  for (let i = 1; i <= at; i++) bytes[bytes.length - i] = i % 2 === 1 ? 0x3f : i % 251;
  await withTemporary(bytes, async (path) => {
    const file = await readSafetensors(path);
    for (const [dtype] of types.slice(0, -1)) {
      const whole = await file.read(dtype);
      for (const [from, to] of [[0, 12], [1, 2], [5, 12], [4, 4]]) {
        assertEquals(file.readPart(dtype, from, to), whole.slice(from, to), dtype);
      }
    }
    assertThrows(() => file.readPart("I32", 0, 1), TypeError, "its elements are I32");
    assertThrows(
      () => file.readPart("F16", 3, 13),
      RangeError,
      'Cannot read elements 3 to 13 of tensor "F16": it has 12',
    );
    for (const [from, to] of [[-1, 2], [3, 2], [0.5, 2]]) {
      assertThrows(() => file.readPart("F16", from, to), RangeError, "Cannot read elements");
    }
    await Deno.writeFile(path, bytes);
    await Deno.utime(path, 1, 1);
    assertThrows(
      () => file.readPart("F16", 0, 1),
      Error,
      `Cannot read ${path}: it changed since it was opened; open it again`,
    );
  });
});

Deno.test("read() tells when the file was cut after it was opened", async () => {
  await withTemporary(made(w("F32", [4], [0, 16]), 16), async (path) => {
    const file = await readSafetensors(path);
    await Deno.truncate(path, 60);
    await assertRejects(() => file.read("w"), Error, "too early; truncated");
  });
});

const arrays = fc.oneof(
  fc.float32Array({ maxLength: 12 }),
  fc.float64Array({ maxLength: 12 }),
  fc.int32Array({ maxLength: 12 }),
  fc.uint8Array({ maxLength: 12 }),
);
const tensors = fc.dictionary(
  fc.string({ minLength: 1, maxLength: 8 }).filter((name) => name !== "__metadata__"),
  arrays.map((data): Tensor => ({
    shape: data.length % 2 ? [data.length] : [2, data.length / 2],
    data,
  })),
  { maxKeys: 5 },
).map((record) => new Map(Object.entries(record)));

Deno.test("what writeSafetensors() writes is read back to the bit, whatever order it came in", async () => {
  const path = await Deno.makeTempFile();
  try {
    await fc.assert(
      fc.asyncProperty(
        tensors,
        fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
        async (map, notes) => {
          await writeSafetensors(path, map, notes);
          const bytes = await Deno.readFile(path);
          assertEquals(joined(encodeSafetensors(new Map([...map].reverse()), notes)), bytes);
          const file = await readSafetensors(path);
          assertEquals(Object.entries(file.metadata).sort(), Object.entries(notes).sort());
          assertEquals(file.names(), [...map.keys()].sort());
          for (const [name, { shape, data }] of map) {
            const info = file.info(name);
            assertEquals(info.shape, shape);
            assertEquals(info.begin % data.BYTES_PER_ELEMENT, 0);
            assertEquals(
              await file.readRaw(name),
              new Uint8Array(data.buffer.slice(0) as ArrayBuffer),
            );
            if (data instanceof Float32Array) assertEquals(await file.read(name), data);
          }
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("encodeSafetensors() refuses a shape that does not fit its data", () => {
  const bad = new Map([["w", { shape: [2, 2], data: new Float32Array(3) }]]);
  assertThrows(
    () => encodeSafetensors(bad),
    TypeError,
    'tensor "w": shape [2,2] has 4 elements, data 3',
  );
  const reserved = new Map([["__metadata__", { shape: [1], data: new Float32Array(1) }]]);
  assertThrows(() => encodeSafetensors(reserved), TypeError);
});

Deno.test("parseHeader() answers any damage with a clear error or with a true header", () => {
  const sound = joined(encodeSafetensors(
    new Map<string, Tensor>([
      ["a.weight", { shape: [2, 3], data: new Float32Array(6) }],
      ["b", { shape: [4], data: new Int32Array(4) }],
      ["c", { shape: [], data: new Float64Array(1) }],
    ]),
    { format: "pt" },
  ));
  const headerEnd = 8 + Number(new DataView(sound.buffer).getBigUint64(0, true));
  const damage = fc.oneof(
    { arbitrary: fc.record({ at: fc.nat(headerEnd - 1), byte: fc.nat(255) }), weight: 1 },
    // Digits for digits: these survive JSON and reach the checks of sizes and offsets.
    {
      arbitrary: fc.record({ at: fc.nat(headerEnd - 1), byte: fc.integer({ min: 48, max: 57 }) }),
      weight: 2,
    },
  );
  let [refused, accepted] = [0, 0];
  fc.assert(
    fc.property(
      fc.array(damage, { minLength: 1, maxLength: 4 }),
      fc.option(fc.nat(sound.length)),
      (edits, cut) => {
        let bytes = sound.slice();
        for (const { at, byte } of edits) bytes[at] = byte;
        if (cut !== null) bytes = bytes.subarray(0, cut);
        try {
          const { tensors } = parseHeader(bytes, bytes.length, "damaged");
          accepted++;
          const all = [...tensors.values()].sort((a, b) => a.begin - b.begin);
          all.forEach(({ shape, elements, begin, end }, i) => {
            assertEquals(shape.reduce((a, b) => a * b, 1), elements);
            assert(begin <= end && end <= bytes.length);
            if (i > 0) assertEquals(begin, all[i - 1].end);
          });
        } catch (error) {
          assert(error instanceof RangeError || error instanceof TypeError, String(error));
          assert(error.message.startsWith("Cannot read damaged: "), error.message);
          refused++;
        }
      },
    ),
    { numRuns: 500, seed: 7 },
  );
  assert(refused > 300 && accepted > 0, `${refused} refused, ${accepted} accepted`);
});

fixtureTest("safetensors of PyTorch and PEFT are read", async (folder) => {
  const [t5, data] = [`${folder}/golden/t5`, `${folder}/data`];
  const model = await readSafetensors(`${t5}/model.safetensors`);
  assertEquals(model.info("shared.weight").shape, [256, 64]);
  assertEquals(model.metadata, { format: "pt" });
  const shared = await model.read("shared.weight");
  assert(
    shared.length === 256 * 64 && shared.every(Number.isFinite) && shared.some((x) => x !== 0),
  );
  const expected = await readSafetensors(`${t5}/expected.safetensors`);
  const losses = await expected.read("train.losses");
  assertEquals((await expected.read("loss"))[0], losses[0]);
  // Documented: the next tokens after "Hello world" and "Attention rocks!" in T5-small.
  const outputs = await readSafetensors(`${data}/t5-small-golden/t5.small.outputs.safetensors`);
  assertEquals(outputs.info("generation").shape, [2, 1, 32128]);
  const logits = await outputs.read("generation");
  const best = [0, 1].map((row) => {
    const own = logits.subarray(row * 32128, (row + 1) * 32128);
    return own.indexOf(own.reduce((a, b) => Math.max(a, b)));
  });
  assertEquals(best, [8774, 20748]);
});
