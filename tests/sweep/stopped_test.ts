import { assertEquals, assertMatch } from "@std/assert";
import { claimRun } from "../../lib/sweep/claim.ts";
import { dropRun } from "../../lib/sweep/drop_run.ts";
import {
  clearStopped,
  readStopped,
  type Stopped,
  stoppedNotes,
  stoppedText,
  writeStopped,
} from "../../lib/sweep/stopped.ts";
import { cells, withFolder } from "./fake_sweep.ts";

const stopped: Stopped = {
  ...{ eta: 3, rung: 1, epoch: 2, epochs: 9, score: 0.5 },
  metric: "accuracy",
  dropped: { mean: 0.5625, rank: 4, settings: 6 },
};

Deno.test("stopped.json is read as it was written, and is gone when the run goes on", () =>
  withFolder(async (folder) => {
    assertEquals(await readStopped(folder), null);
    for (const one of [stopped, { ...stopped, dropped: null }]) {
      await writeStopped(folder, one);
      assertEquals(await readStopped(folder), one);
    }
    await clearStopped(folder);
    await clearStopped(folder);
    assertEquals(await readStopped(folder), null);
  }));

Deno.test("stoppedNotes() lists what halving stopped, up to twenty settings", () => {
  assertEquals(stoppedNotes([{ approach: "full" }]), []);
  assertMatch(
    stoppedText(stopped),
    /^stopped after epoch 2 of 9 .* accuracy 56\.3 % there, place 4/,
  );
  assertMatch(stoppedText({ ...stopped, metric: "loss" }), / loss 0\.5625 there/);
  const notes = (count: number) =>
    stoppedNotes(Array.from({ length: count }, (_, i) => ({ approach: `lora ${i}`, stopped })));
  assertMatch(notes(2)[0], /^Halving: .* one of 3 settings .*; 2 stopped before/);
  assertEquals(notes(2)[2], `lora 1: ${stoppedText(stopped)}.`);
  assertEquals([notes(20).length, notes(25).length], [21, 22]);
  assertMatch(notes(25)[21], /^5 more settings/);
});

Deno.test("dropRun() leaves a run alone that another process has", () =>
  withFolder(async (folder) => {
    const [cell] = cells({ methods: "full", settings: { metric: "loss", epochs: 9 } });
    const place = { rank: 4, mean: -0.5625, goesOn: false };
    const dropped = { cell, rung: 1, epoch: 2, score: -0.5, place, settings: 6 };
    const claim = await claimRun(folder);
    await dropRun(folder, dropped, 3);
    assertEquals(await readStopped(folder), null);
    await claim!.release();
    await dropRun(folder, dropped, 3);
    assertEquals(await readStopped(folder), { ...stopped, metric: "loss" });
    const { mtime } = await Deno.stat(`${folder}/stopped.json`);
    await dropRun(folder, dropped, 3);
    assertEquals((await Deno.stat(`${folder}/stopped.json`)).mtime, mtime);
  }));
