/** The checks of readers find what they are there to find. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { fault, type Reader } from "./check_reader.ts";
import { mutateBytes, mutateJson, type Mutation } from "./mutations.ts";

const input = new TextEncoder().encode('{"a":[1,2],"b":"text"}');
const reader = (read: Reader["read"]): Reader => ({
  name: "x",
  seeds: [input],
  mutate: mutateJson,
  read,
});
const found = (read: Reader["read"]) => fault(reader(read), input);

Deno.test("a right result and a clear error are no fault", async () => {
  assertEquals(await found((bytes) => bytes.length), null);
  assertEquals(
    await found(() => {
      throw new RangeError("Cannot read x.json: a must be a number, found [1,2]");
    }),
    null,
  );
});

Deno.test("errors from inside are faults", async () => {
  const none = undefined as unknown as { field: Iterable<number> };
  assertMatch(await found(() => none.field) ?? "", /an error from inside/);
  assertMatch(await found(() => [...{ a: 1 } as never]) ?? "", /not a clear error/);
  assertMatch(await found(() => JSON.parse("{")) ?? "", /not a clear error/);
  const endless = (n: number): number => endless(n + 1) + 1;
  assertMatch(await found(() => endless(0)) ?? "", /Maximum call stack/);
  assertMatch(
    await found(() => {
      throw new Error(`Cannot read ${"x".repeat(5000)}`);
    }) ?? "",
    /a message of 5012 characters/,
  );
});

Deno.test("memory beyond the file's size is a fault, and a gigabyte is never taken", async () => {
  const claimed = [
    () => new Uint8Array(2 ** 22),
    () => new Float32Array(2 ** 20),
    () => new ArrayBuffer(2 ** 22),
    () => new Array(2 ** 20),
    () => Array.from({ length: 2 ** 19 }),
    () => new Float64Array(2 ** 40),
  ];
  for (const read of claimed) assertMatch(await found(read) ?? "none", /asks for \d+ bytes/);
  assertEquals(await found(() => [new Uint8Array(100), Array.from([1, 2])].length), null);
  assert(new Array(3).length === 3 && new Uint8Array(2).length === 2);
});

Deno.test("a slow answer is a fault", async () => {
  const slow = await found(() => {
    for (const start = performance.now(); performance.now() - start < 2100;);
  });
  assertMatch(slow ?? "none", /takes \d+ ms/);
});

Deno.test("mutations change what they are given, and are the same again", () => {
  for (const mutate of [mutateBytes, mutateJson]) {
    const texts = new Set<string>();
    for (let kind = 0; kind < 200; kind++) {
      const mutation: Mutation = [kind, 7919 * kind, 104_729 * kind];
      const one = mutate(input, mutation);
      assertEquals(mutate(input, mutation), one);
      texts.add(new TextDecoder("latin1").decode(one));
    }
    assert(texts.size > 80, `${texts.size} different files`);
  }
});
