import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { canonicalJson, digestJson, sha256, sha256File } from "../../lib/formats/digest.ts";

Deno.test("sha256() has the values of FIPS 180-4's examples", () => {
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  assertEquals(sha256("abc"), abc);
  assertEquals(sha256(new Uint8Array([0x61, 0x62, 0x63])), abc);
  assertEquals(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

Deno.test("sha256File() agrees with sha256() beyond one piece", async () => {
  const path = await Deno.makeTempFile();
  try {
    const bytes = Uint8Array.from({ length: 2_500_000 }, (_, i) => i * 31);
    await Deno.writeFile(path, bytes);
    assertEquals(await sha256File(path), sha256(bytes));
  } finally {
    await Deno.remove(path);
  }
  await assertRejects(() => sha256File(path), Error, `Cannot read ${path}: no such file`);
});

Deno.test("canonicalJson() sorts keys and drops what is undefined", () => {
  const value = {
    b: [1, -0, 0.1, 1e21],
    a: { d: null, c: "é\n", x: undefined },
    "10": true,
    "9": 1,
  };
  assertEquals(
    canonicalJson(value),
    '{"10":true,"9":1,"a":{"c":"é\\n","d":null},"b":[1,0,0.1,1e+21]}',
  );
  assertEquals(digestJson({ a: 1, b: 2 }), digestJson({ b: 2, a: 1 }));
  assertNotEquals(digestJson({ a: 1 }), digestJson({ a: 2 }));
});

Deno.test("canonicalJson() refuses what JSON cannot say and tells where it stands", () => {
  assertThrows(() => canonicalJson({ a: [0, NaN] }), TypeError, "Cannot write value.a[1] as JSON");
  for (
    const bad of [Infinity, 1n, undefined, () => 0, new Map(), new Float32Array(1), [undefined]]
  ) {
    assertThrows(() => canonicalJson(bad), TypeError, "has no JSON form");
  }
  assertThrows(() => canonicalJson(Array(2)), TypeError, "value[0]");
});
