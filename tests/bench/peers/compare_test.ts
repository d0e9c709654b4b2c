import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { compare, type Contender } from "../../../bench/peers/compare.ts";
import { matmulJob, productRow } from "../../../bench/peers/jobs.ts";
import { peerRows } from "../../../bench/peers/main.ts";
import { EngineProcess } from "../../../bench/peers/process.ts";
import { type Job, NOT_WRITTEN, type Prepared } from "../../../bench/peers/protocol.ts";

const job: Job = { kind: "matmul", name: "test", size: 2, weights: "", model: null };

/** An engine whose repetitions take some milliseconds each, and which notes its rounds. */
function engine(name: string, each: number, prepared: Prepared, calls: string[] = []): Contender {
  return {
    hello: { engine: name, version: "1", device: "none", software: true },
    prepare: () => Promise.resolve(prepared),
    round: (count) => {
      calls.push(`${name}×${count}`);
      return Promise.resolve(each * count);
    },
    release: () => {
      calls.push(`${name} released`);
      return Promise.resolve();
    },
  };
}

Deno.test("engines take turns, as often as fills a round, and ratios are over the first", async () => {
  const calls: string[] = [];
  const engines = [
    engine("a", 2, { values: [1, 200] }, calls),
    engine("b", 5, { values: [1, 200.001] }, calls),
  ];
  const effort = { rounds: 3, roundMs: 40 };
  const [a, b] = await compare(engines, { job, reference: null, tolerance: 1e-4 }, effort);
  assertEquals(calls.slice(-8), [
    ...["a×20", "b×8", "a×20", "b×8", "a×20", "b×8"],
    ...["a released", "b released"],
  ]);
  assertEquals([a.median, a.ratio, a.spread, a.rounds, a.repetitions], [2, 1, 0, 3, 20]);
  assertEquals([b.median, b.ratio, b.rounds, b.repetitions], [5, 2.5, 3, 8]);
  assertEquals(a.difference, 0);
  assertAlmostEquals(b.difference!, 5e-6, 1e-9);
});

Deno.test("an engine with other answers, or none, is not timed and says why", async () => {
  const calls: string[] = [];
  const engines = [
    engine("right", 1, { values: [1] }, calls),
    engine("off", 1, { values: [1.01] }, calls),
    engine("short", 1, { values: [] }, calls),
    engine("broken", 1, { values: [NaN] }, calls),
    engine("refuses", 1, { cannot: "no such device" }, calls),
    engine("without", 1, { cannot: NOT_WRITTEN }, calls),
    {
      ...engine("falls", 1, { values: [1] }, calls),
      round: () => Promise.reject(new Error("lost")),
    },
  ];
  const comparison = { job, reference: [1], tolerance: 1e-4 };
  const results = await compare(engines, comparison, { rounds: 1, roundMs: 1 });
  assertEquals(results.map(({ median }) => median), [1, null, null, null, null, null, null]);
  assertEquals(calls.filter((call) => /^(off|short|broken|refuses|without)×/.test(call)), []);
  assertStringIncludes(results[1].cannot!, "off by 0.010");
  assertStringIncludes(results[2].cannot!, "off by Infinity");
  assertStringIncludes(results[3].cannot!, "off by Infinity");
  assertEquals(results.slice(4).map(({ cannot }) => cannot), [
    "no such device",
    NOT_WRITTEN,
    "lost",
  ]);
  const rows = peerRows(results);
  assertEquals(rows.map(({ engine }) => engine), [
    ...["right", "off", "short", "broken", "refuses", "falls"],
  ]);
  assertEquals([rows[0]["median ms"], rows[0]["times ours"], rows[1]["median ms"]], [1, 1, "–"]);
});

Deno.test("this engine in a process of its own: its product equals f64, and its rounds take time", async () => {
  const matmul = await matmulJob(24);
  const process = await EngineProcess.start({
    program: Deno.execPath(),
    args: ["run", "-A", "-q", "--no-check", "--no-lock", "bench/main.ts", "worker", "ours"],
  });
  try {
    assertEquals(process.hello.engine, "Tunegrid");
    const comparison = { job: matmul, reference: [...await productRow(matmul)], tolerance: 1e-5 };
    const [result] = await compare([process], comparison, { rounds: 3, roundMs: 20 });
    assertEquals(result.cannot, null);
    assert(result.median! > 0 && result.difference! < 1e-5, JSON.stringify(result));
    const other = await process.prepare({ ...matmul, weights: "nowhere" });
    assertStringIncludes(other.cannot!, "nowhere");
  } finally {
    await process.close();
  }
});
