import { assertEquals } from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";
import { parseArgs as fromRoot } from "@std/cli";
import { ProgressBar } from "@std/cli/unstable-progress-bar";

Deno.test("parseArgs() is exported from the root as well", () => {
  assertEquals(fromRoot, parseArgs);
});

Deno.test("parseArgs() reads strings, booleans and what is left", () => {
  const flags = parseArgs(["--base", "dir", "--lr=1e-3", "--dedupe", "x", "7", "--", "--y"], {
    string: ["base", "lr"],
    boolean: ["dedupe", "quiet"],
  });
  const base: string | undefined = flags.base;
  const dedupe: boolean = flags.dedupe;
  assertEquals(base, "dir");
  assertEquals(dedupe, true);
  assertEquals(flags, {
    base: "dir",
    lr: "1e-3",
    dedupe: true,
    quiet: false,
    _: ["x", 7, "--y"],
  });
});

Deno.test("parseArgs() makes numbers of undeclared flags that look like one", () => {
  assertEquals(parseArgs(["--n", "5", "--x=1e-2", "--name", "a", "-v", "-k", "3", "-n5"]), {
    n: 5,
    x: 0.01,
    name: "a",
    v: true,
    k: 3,
    _: [],
  });
});

Deno.test("parseArgs() leaves a string flag without a value empty", () => {
  assertEquals(parseArgs(["--a", "--b", "-1"], { string: ["a", "b"] }), {
    a: "",
    b: "",
    "1": true,
    _: [],
  });
});

Deno.test("parseArgs() collects, keeps the last otherwise, and negates", () => {
  const flags = parseArgs(["--m", "a", "--m=b", "--s", "1", "--s", "2", "--no-c"], {
    string: ["m", "s"],
    boolean: ["c"],
    collect: ["m"],
    negatable: ["c"],
    default: { c: true, s: "0", t: "z" },
  });
  const m: string[] = flags.m;
  const s: string = flags.s;
  assertEquals([m, s, flags.c, flags.t], [["a", "b"], "2", false, "z"]);
  assertEquals(parseArgs([], { string: ["m"], collect: ["m"] }), { m: [], _: [] });
});

Deno.test("parseArgs() resolves aliases and shows unknown flags", () => {
  const unknown: unknown[] = [];
  const flags = parseArgs(["-h", "--typo", "3", "word", "--help=false"], {
    boolean: ["help"],
    alias: { help: "h" },
    unknown: (arg, key, value) => {
      unknown.push([arg, key, value]);
      return false;
    },
  });
  assertEquals(unknown, [["--typo", "typo", "3"], ["word", undefined, undefined]]);
  assertEquals(flags, { help: false, h: false, _: [] });
});

Deno.test("parseArgs() stops early and keeps what follows a double dash", () => {
  assertEquals(parseArgs(["--a", "1", "x", "--b"], { stopEarly: true }), { a: 1, _: ["x", "--b"] });
  assertEquals(parseArgs(["--a", "--", "b"], { "--": true }), { a: true, "--": ["b"], _: [] });
});

async function written(
  run: (writable: WritableStream<Uint8Array>) => Promise<void>,
): Promise<string[]> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const done = run(writable);
  const chunks: string[] = [];
  for await (const chunk of readable) chunks.push(new TextDecoder().decode(chunk));
  await done;
  return chunks;
}

Deno.test("ProgressBar writes its state at the start and at the end", async () => {
  const chunks = await written(async (writable) => {
    const bar = new ProgressBar({ writable, max: 2048, barLength: 4, keepOpen: false });
    bar.value = 1024;
    await bar.stop();
  });
  assertEquals(chunks, [
    "\r\x1b[K[00:00] [----] [0.00/2.00 KiB]",
    "\r\x1b[K[00:00] [##--] [1.00/2.00 KiB]",
    "\n",
  ]);
});

Deno.test("ProgressBar asks its formatter, clears and leaves the stream open", async () => {
  const values: number[][] = [];
  const chunks = await written(async (writable) => {
    const bar = new ProgressBar({
      writable,
      max: 4,
      clear: true,
      formatter: (x) => {
        values.push([x.value, x.previousValue, x.max, x.previousTime]);
        return `${x.styledTime} ${x.progressBar.length}`;
      },
    });
    await bar.stop();
    const writer = writable.getWriter();
    await writer.write(new TextEncoder().encode("after"));
    await writer.close();
  });
  assertEquals(values, [[0, 0, 4, 0]]);
  assertEquals(chunks, ["\r\x1b[K00:00 50", "\r\x1b[K", "after"]);
});

Deno.test("ProgressBar survives a reader that goes away", async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const bar = new ProgressBar({ writable, max: 1 });
  await readable.cancel();
  await bar.stop();
});
