import { assertEquals, assertRejects } from "@std/assert";
import { readTexts, type TextStreamOptions } from "../../lib/data/text_stream.ts";

/** The bytes of a text in pieces of some size, and whether all were asked for. */
async function* pieces(source: string | Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const bytes = typeof source === "string" ? new TextEncoder().encode(source) : source;
  for (let at = 0; at < bytes.length; at += size) {
    yield await Promise.resolve(bytes.slice(at, at + size));
  }
}

async function texts(
  source: string | Uint8Array,
  options: Partial<TextStreamOptions> = {},
  size = 3,
): Promise<string[]> {
  return await Array.fromAsync(readTexts(pieces(source, size), { file: "in", ...options }));
}

Deno.test("one text a line, however the bytes are cut", async () => {
  const source = "\ufeffgood\r\n  so-so\tfilm \nschön 🎬\n\n\n";
  for (const size of [1, 2, 7, 1000]) {
    assertEquals(await texts(source, {}, size), ["good", "so-so film", "schön 🎬"]);
  }
  assertEquals(await texts(""), []);
  assertEquals(await texts("no line end"), ["no line end"]);
});

Deno.test("a named column of CSV and TSV, told apart by the header", async () => {
  const csv = 'id,text\n1,"a, ""quoted""\nand broken one"\r\n2,plain\n';
  for (const size of [1, 5, 1000]) {
    assertEquals(await texts(csv, { column: "text" }, size), [
      'a, "quoted" and broken one',
      "plain",
    ]);
  }
  const tsv = 'sentence\tlabel\n"open quote\t1\nplain\t0\n';
  assertEquals(await texts(tsv, { column: "sentence" }), ['"open quote', "plain"]);
  assertEquals(await texts("a b\nx,y\n", { column: "a b", format: "tsv" }), ["x,y"]);
  assertEquals(await texts("text\n", { column: "text" }), []);
});

Deno.test("what is wrong is told with its line", async () => {
  const wrong: [string | Uint8Array, Partial<TextStreamOptions>, string][] = [
    ["a\n\nb\n", {}, "Cannot read in, line 2: the text is empty"],
    ["a\n \nb\n", {}, "Cannot read in, line 2: the text is empty"],
    [Uint8Array.of(97, 10, 0xff, 10), {}, "Cannot read in, line 2: invalid UTF-8"],
    ["a,b\n1,2\n", { column: "text" }, 'line 1: there is no column "text"; it has a, b'],
    ["a,b\n1,2\n3\n", { column: "a" }, "line 3: 2 fields are needed (a, b), found 1"],
    ['a\n"x\ny\n', { column: "a" }, "line 2: a quote is opened and never closed"],
    ["a,a\n1,2\n", { column: "a" }, 'line 1: two columns are named "a"'],
    ["a,b\n1,\n", { column: "b" }, "line 2: the text is empty"],
  ];
  for (const [source, options, message] of wrong) {
    await assertRejects(() => texts(source, options), RangeError, message);
  }
});

Deno.test("texts come as they are read, from a stream without an end", async () => {
  let read = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;; read++) yield await Promise.resolve(new TextEncoder().encode("one\ntwo\n"));
  }
  const found: string[] = [];
  for await (const text of readTexts(endless(), { file: "in" })) {
    if (found.push(text) === 5) break;
  }
  assertEquals(found, ["one", "two", "one", "two", "one"]);
  assertEquals(read, 2);
  async function* line(): AsyncGenerator<Uint8Array> {
    for (;;) yield await Promise.resolve(new Uint8Array(2 ** 20).fill(97));
  }
  await assertRejects(
    () => Array.fromAsync(readTexts(line(), { file: "in" })),
    RangeError,
    "line 1: the line is longer than 16777216 bytes",
  );
});
