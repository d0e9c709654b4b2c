import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertExists,
  AssertionError,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";

function fails(fn: () => unknown, includes = ""): void {
  try {
    fn();
  } catch (error) {
    if (!(error instanceof AssertionError)) throw new Error(`${error} is no AssertionError`);
    if (!error.message.includes(includes)) throw new Error(`"${error.message}" lacks ${includes}`);
    return;
  }
  throw new Error("an assertion that must fail held");
}

Deno.test("assert() holds for what is truthy", () => {
  assert(1);
  fails(() => assert(0, "nothing"), "nothing");
});

Deno.test("assertEquals() compares deeply", () => {
  assertEquals({ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] });
  assertEquals<unknown>({ a: 1, b: undefined }, { a: 1 });
  assertEquals(new Float32Array([1, 2]), new Float32Array([1, 2]));
  assertEquals(new Map([["a", [1]]]), new Map([["a", [1]]]));
  assertEquals(new Set([1, 2]), new Set([2, 1]));
  assertEquals(NaN, NaN);
  assertEquals(0, -0);
  assertEquals([new Date(7)], [new Date(7)]);
  assertEquals([/a/g], [/a/g]);
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  assertEquals(cycle, cycle);
  fails(() => assertEquals({ a: 1 }, { a: 2 }), "Values are not equal");
  fails(() => assertEquals<unknown>({ a: 1 }, { a: 1, b: 2 }));
  fails(() => assertEquals<unknown>([1, 2], [1, 2, 3]));
  fails(() => assertEquals<unknown>(1, "1"));
  fails(() => assertEquals<unknown>(new Float32Array([1]), new Float64Array([1])));
  fails(() => assertEquals(new Float32Array([1]), new Float32Array([2])));
  fails(() => assertEquals(new Date(7), new Date(8)));
  fails(() => assertEquals(new Map([["a", 1]]), new Map([["a", 2]])));
  fails(() => assertEquals<unknown>([], {}));
  fails(() => assertEquals<unknown>(null, undefined));
  fails(() => assertEquals(1, 2, "with a note"), "with a note");
});

Deno.test("assertEquals() tells classes apart", () => {
  class A {
    x = 1;
  }
  class B {
    x = 1;
  }
  assertEquals(new A(), new A());
  fails(() => assertEquals<unknown>(new A(), new B()));
  fails(() => assertEquals(new Error("a"), new Error("b")));
});

Deno.test("assertNotEquals() is the opposite", () => {
  assertNotEquals([1], [2]);
  fails(() => assertNotEquals([1], [1]));
});

Deno.test("assertAlmostEquals() allows 1e-7 of the expected value or a stated tolerance", () => {
  assertAlmostEquals(1, 1 + 1e-8);
  assertAlmostEquals(1, 1.05, 0.1);
  assertAlmostEquals(Infinity, Infinity);
  fails(() => assertAlmostEquals(1, 1.001));
  fails(() => assertAlmostEquals(1, 1.05, 0.01));
  fails(() => assertAlmostEquals(NaN, 1, 10));
});

Deno.test("assertExists(), assertStringIncludes() and assertMatch()", () => {
  assertExists(0);
  fails(() => assertExists(null));
  fails(() => assertExists(undefined));
  assertStringIncludes("abc", "bc");
  fails(() => assertStringIncludes("abc", "x"));
  assertMatch("abc", /^a/);
  fails(() => assertMatch("abc", /^b/));
});

Deno.test("assertThrows() checks class and message and returns the error", () => {
  const error = assertThrows(
    () => {
      throw new RangeError("too large");
    },
    RangeError,
    "large",
  );
  assertEquals(error.message, "too large");
  assertEquals(
    assertThrows(() => {
      throw 7;
    }),
    7,
  );
  const throwing = () => {
    throw new RangeError("too large");
  };
  fails(() => assertThrows(() => 1), "Expected function to throw");
  fails(() => assertThrows(throwing, TypeError), "TypeError");
  fails(() => assertThrows(throwing, RangeError, "small"), "small");
});

Deno.test("assertRejects() checks class and message and resolves to the error", async () => {
  const rejecting = () => Promise.reject(new TypeError("bad shape"));
  assertEquals((await assertRejects(rejecting, TypeError, "shape")).message, "bad shape");
  await assertRejects(rejecting);
  await assertRejects(() => assertRejects(rejecting, RangeError), AssertionError, "RangeError");
  await assertRejects(() => assertRejects(rejecting, TypeError, "no"), AssertionError, "no");
  await assertRejects(
    () => assertRejects(() => Promise.resolve()),
    AssertionError,
    "Expected function to reject",
  );
  await assertRejects(
    () =>
      assertRejects(() => {
        throw new TypeError("at once");
      }),
    AssertionError,
    "Function throws when expected to reject",
  );
});
