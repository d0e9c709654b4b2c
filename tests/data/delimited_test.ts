import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { stringify } from "@std/csv";
import fc from "fast-check";
import { type DelimitedFormat, parseDelimited, readDelimited } from "../../lib/data/delimited.ts";

const parse = (text: string | Uint8Array, format: DelimitedFormat = "tsv") =>
  parseDelimited(typeof text === "string" ? new TextEncoder().encode(text) : text, format, "x");

Deno.test("tsv has no quoting, as in GLUE", () => {
  const table = parse('\ufeffsentence\tlabel\r\nit "is, good \t1\r\n"\t0\r\n\r\n');
  assertEquals(table.columns, ["sentence", "label"]);
  assertEquals(table.rows, [['it "is, good ', "1"], ['"', "0"]]);
  assertEquals(table.lines, [2, 3]);
  assertEquals(parse("a\tb\n\t").rows, [["", ""]]);
});

Deno.test("csv has quotes, also over several lines", () => {
  const table = parse('text,label\n"a, ""b""\nc",1\r\nplain,"0"\n"",2', "csv");
  assertEquals(table.rows, [['a, "b"\nc', "1"], ["plain", "0"], ["", "2"]]);
  assertEquals(table.lines, [2, 4, 5]);
  assertEquals(parse('t\tl\n"a\tb"\t1\r\n', "quoted-tsv").rows, [["a\tb", "1"]]);
});

const wrong: [what: string, text: string | Uint8Array, format: DelimitedFormat, message: string][] =
  [
    ["an empty file", "", "tsv", "Cannot read x, line 1: the file is empty"],
    ["a file of line ends", "\r\n\n", "csv", "line 1: the file is empty"],
    ["a header alone", "a\tb\n", "tsv", "line 1: there are no rows under the header a, b"],
    ["a field too few", "a\tb\n1\t2\n3\n", "tsv", "line 3: 2 fields are needed (a, b), found 1"],
    ["a field too many", "a,b\n1,2,3\n", "csv", "line 2: 2 fields are needed (a, b), found 3"],
    ["an empty line", "a\tb\n1\t2\n\n3\t4\n", "tsv", "line 3: the line is empty"],
    ["a column twice", "a,a\n1,2\n", "csv", 'line 1: two columns are named "a"'],
    ["a column without name", "a,\n1,2\n", "csv", "line 1: column 2 has no name"],
    [
      "a quote left open",
      'a,b\n1,2\n"3,4\n5,6\n',
      "csv",
      "line 3: a quote is opened and never closed",
    ],
    ["text after a quote", 'a,b\n"1"x,2\n', "csv", 'line 2: text follows a closing quote: "x,2"'],
    ["a quote within a field", 'a,b\n1"1,2\n', "csv", "line 2: a quote stands inside"],
    [
      "invalid UTF-8",
      new Uint8Array([0x61, 0x09, 0x62, 0x0a, 0xc3, 0xa9, 0x0a, 0x61, 0xff, 0x0a]),
      "tsv",
      "line 3: invalid UTF-8",
    ],
    [
      "a sequence cut off by the end",
      new Uint8Array([0x61, 0x0a, 0xe2, 0x82]),
      "csv",
      "line 2: invalid UTF-8",
    ],
    [
      "UTF-16",
      new Uint8Array([0xff, 0xfe, 0x61, 0x00]),
      "csv",
      "line 1: invalid UTF-8; save the file as UTF-8",
    ],
  ];

for (const [what, text, format, message] of wrong) {
  Deno.test(`parseDelimited() refuses ${what}, with file and line`, () => {
    assertThrows(() => parse(text, format), RangeError, message);
  });
}

Deno.test("csv of any fields is read back", () => {
  const field = fc.string({
    unit: fc.constantFrom("a", ",", '"', "\n", "\r\n", "\t", " ", "é"),
    maxLength: 6,
  });
  const row = fc.tuple(field, field, fc.constantFrom("0", "1"));
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 6 }), (rows) => {
      const text = stringify([["t", "u", "l"], ...rows]);
      const table = parse(text, "csv");
      assertEquals(table.rows, rows);
      // Each row begins where its text begins.
      const at = rows.map((_, i) =>
        stringify([["t", "u", "l"], ...rows.slice(0, i)]).split("\n").length
      );
      assertEquals(table.lines, at);
    }),
    { numRuns: 200, seed: 4 },
  );
});

Deno.test("readDelimited() takes the format from the name, and unpacks .gz", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const text = 'a\tb\n"x\t1\n';
    const gzip = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
    const packed = new Uint8Array(await new Response(gzip).arrayBuffer());
    await Deno.writeFile(`${dir}/x.tsv.gz`, packed);
    assertEquals((await readDelimited(`${dir}/x.tsv.gz`)).rows, [['"x', "1"]]);
    await Deno.writeFile(`${dir}/cut.tsv.gz`, packed.subarray(0, packed.length - 6));
    await Deno.writeFile(`${dir}/two.tsv.gz`, new Uint8Array([...packed, ...packed]));
    await Deno.writeTextFile(`${dir}/not.tsv.gz`, text);
    for (const name of ["cut", "two", "not"]) {
      await assertRejects(
        () => readDelimited(`${dir}/${name}.tsv.gz`),
        TypeError,
        `${name}.tsv.gz: not one complete gzip stream`,
      );
    }
    await Deno.writeTextFile(`${dir}/x.data`, "a,b\n1,2\n");
    await assertRejects(() => readDelimited(`${dir}/x.data`), RangeError, "state the format");
    assertEquals((await readDelimited(`${dir}/x.data`, "csv")).rows, [["1", "2"]]);
    await assertRejects(() => readDelimited(`${dir}/none.csv`), Error, "no such file or folder");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
