import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { parse, stringify } from "@std/csv";

Deno.test("parse() reads rows", () => {
  assertEquals(parse("a,b\r\nc,d\r\n"), [["a", "b"], ["c", "d"]]);
  assertEquals(parse('"a,a","b""b",\n'), [["a,a", 'b"b', ""]]);
  assertEquals(parse("\ufeffa\tb\n\n c\t\n", { separator: "\t" }), [["a", "b"], [" c", ""]]);
  assertEquals(parse('A,"Hello\r\nHi",B\r\n'), [["A", "Hello\nHi", "B"]]);
  assertEquals(parse("a,b\rc,d\r"), [["a", "b\rc", "d"]]);
  assertEquals(parse("a,b,c\nd,e"), [["a", "b", "c"], ["d", "e"]]);
  assertEquals(parse("#x\na", { comment: "#" }), [["a"]]);
  assertEquals(parse(""), []);
  assertEquals(parse('a "word",a",b', { lazyQuotes: true }), [['a "word"', 'a"', "b"]]);
});

Deno.test("parse() names columns", () => {
  assertEquals(parse("a,b\n1,2\n", { skipFirstRow: true }), [{ a: "1", b: "2" }]);
  const rows = parse("a,b\n1,2\n", { skipFirstRow: true, columns: ["x", "y"] });
  const x: string = rows[0].x;
  assertEquals([x, rows.length], ["1", 1]);
  assertThrows(() => parse("", { skipFirstRow: true }), TypeError, "Headers must be defined");
  const error = assertThrows(() => parse("a,b\n1\n", { skipFirstRow: true }), Error);
  assertMatch(error.message, /line 2: The record has 1 fields, but the header has 2 fields/);
});

Deno.test("parse() tells where quotes and field counts are wrong", () => {
  const message = (text: string, options = {}) =>
    assertThrows(() => parse(text, options), SyntaxError).message;
  assertMatch(message('a\nb "c",d'), /line 2.*: bare " in non-quoted-field/);
  assertMatch(message('"a "b",c'), /line 1.*: extraneous or missing " in quoted-field/);
  assertMatch(message('a,b\n"c\nd'), /line 2.*: extraneous or missing " in quoted-field/);
  assertEquals(
    message("a,b\n\nc", { fieldsPerRecord: 0 }),
    "record on line 3: wrong number of fields",
  );
  assertEquals(message("a", { fieldsPerRecord: 2 }), "record on line 1: wrong number of fields");
  assertThrows(() => parse("", { separator: "\n" }), Error, "Invalid Delimiter");
});

Deno.test("stringify() writes rows, headers and values", () => {
  assertEquals(stringify([["a", 1], ["b,c", 2.5]]), 'a,1\r\n"b,c",2.5\r\n');
  assertEquals(stringify([{ a: 1, b: "x" }], { columns: ["b", "a"] }), "b,a\r\nx,1\r\n");
  assertEquals(
    stringify([{ a: { b: 1 } }], { columns: [{ header: "one", prop: ["a", "b"] }, ["a", "b"]] }),
    "one,b\r\n1,1\r\n",
  );
  assertEquals(stringify([{ a: 1 }], { columns: ["a"], headers: false }), "1\r\n");
  assertEquals(stringify([], { columns: ["a"] }), "a\r\n");
  assertEquals(
    stringify([[true, false, null, undefined, NaN, 10n, { k: 1 }, 'q"', "l\nm", "c\rd", ""]]),
    'true,false,,,NaN,10,"{""k"":1}","q""","l\nm",c\rd,\r\n',
  );
  assertEquals(stringify([["a,b", "c"]], { separator: "\t" }), "a,b\tc\r\n");
  assertEquals(stringify([["a"]], { bom: true }), "\ufeffa\r\n");
});

Deno.test("stringify() refuses records without columns and a quote as separator", () => {
  assertThrows(() => stringify([{ a: 1 }]), TypeError, "No property accessor");
  assertThrows(() => stringify([["a"]], { separator: '"' }), TypeError, "Separator cannot include");
});

Deno.test("what stringify() writes, parse() reads", () => {
  const rows = [["a", 'x "y", z'], ["", "line\nbreak"]];
  assertEquals(parse(stringify(rows)), rows);
});
