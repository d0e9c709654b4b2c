import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Claim, claimRun, readClaim, TakenOver } from "../../lib/sweep/claim.ts";
import { cells, files, options, runCell, withFolder } from "./fake_sweep.ts";
import { cellId } from "../../lib/sweep/cell.ts";
import { runSweep } from "../../lib/sweep/runner.ts";

const names = async (folder: string) => Object.keys(await files(folder)).sort();

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Another host's claim, whose lock nobody here can see: not changed for some seconds. */
async function foreign(folder: string, number: number, seconds: number): Promise<void> {
  const path = `${folder}/claim-${number}.json`;
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(path, JSON.stringify({ token: "x", host: "elsewhere", pid: 1 }));
  const time = new Date(Date.now() - 1000 * seconds);
  await Deno.utime(path, time, time);
}

Deno.test("of many that claim a run at once, one holds it, until it lets go", () =>
  withFolder(async (folder) => {
    const run = `${folder}/run`;
    const claims = await Promise.all(Array.from({ length: 12 }, () => claimRun(run)));
    const [claim, ...rest] = claims.filter((one) => one !== null);
    assertEquals([claim.number, rest.length], [1, 0]);
    assertEquals(await names(run), ["claim-1.json"]);
    await claim.check();
    assertEquals(await claimRun(run), null);
    await claim.release();
    assertEquals(await names(run), []);
    const next = (await claimRun(run))!;
    await next.check();
    await assertRejects(() => claim.check(), TakenOver); // Of the same number, but another's.
    await next.release();
  }));

Deno.test("a claim whose process was killed is taken over at once, with the next number", () =>
  withFolder(async (folder) => {
    const script = `import { claimRun } from "${import.meta.resolve("../../lib/sweep/claim.ts")}";
      await claimRun("${folder}/run");
      console.log("held");
      setInterval(() => {}, 1000);`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-check", script],
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    assertEquals(await claimRun(`${folder}/run`), null);
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
    const claim = (await claimRun(`${folder}/run`))!;
    assertEquals(claim.number, 2);
    await claim.release();
    assertEquals(await names(`${folder}/run`), []);
  }));

Deno.test("another host's claim is taken over when it gives no sign of life, not before", () =>
  withFolder(async (folder) => {
    const run = `${folder}/run`;
    await foreign(run, 3, 20);
    assertEquals(await claimRun(run), null);
    await foreign(run, 3, 40);
    const claim = (await claimRun(run))!;
    assertEquals(claim.number, 4);
    await claim.check();
    await claim.release();
    assertEquals(await names(run), []);
  }));

Deno.test("a claim that cannot be read counts as another host's: stale after a while", () =>
  withFolder(async (folder) => {
    for (
      const text of ["null", "5", "[]", "", '{"token":"x","ho', '{"token":5,"host":[]}', "\0\0"]
    ) {
      const run = `${folder}/run`;
      await Deno.mkdir(run, { recursive: true });
      await Deno.writeTextFile(`${run}/claim-2.json`, text);
      assertEquals(await claimRun(run), null, text);
      const fresh = (await readClaim(run, Date.now()))!;
      assertEquals([fresh.host, fresh.since, fresh.live], [null, null, true], text);
      const old = new Date(Date.now() - 40_000);
      await Deno.utime(`${run}/claim-2.json`, old, old);
      assertEquals((await readClaim(run, Date.now()))!.live, false, text);
      const claim = (await claimRun(run))!;
      assertEquals(claim.number, 3, text);
      await claim.check();
      await claim.release();
      assertEquals(await names(run), []);
      // The holder's own, damaged while it works: it no longer counts as held.
      const damaged = (await claimRun(run))!;
      await Deno.writeTextFile(`${run}/claim-1.json`, text);
      await assertRejects(() => damaged.check(), TakenOver);
      await damaged.release();
      await Deno.remove(run, { recursive: true });
    }
  }));

Deno.test("another process sees who holds a run, since when, and whether it is alive", () =>
  withFolder(async (folder) => {
    const run = `${folder}/run`;
    await Deno.mkdir(run);
    assertEquals(await readClaim(run, Date.now()), null);
    const claim = (await claimRun(run))!;
    const soon = Date.now() + 100_000; // Of a holder that is busy: its lock speaks for it.
    const { host, since, age, live } = (await readClaim(run, soon))!;
    assertEquals([host, live], [Deno.hostname(), true]);
    assert(Math.abs(age - 100) < 5 && Math.abs(Date.now() - since!.getTime()) < 5000);
    assertEquals((await readClaim(run, soon + 300_000))!.live, false);
    await claim.check();
    await claim.release();
    assertEquals(await readClaim(run, Date.now()), null);
    assertEquals(await readClaim(`${folder}/none`, Date.now()), null);
    await foreign(run, 1, 20);
    assertEquals((await readClaim(run, Date.now()))!.live, true);
    await foreign(run, 1, 40);
    assertEquals((await readClaim(run, Date.now()))!.live, false);
  }));

Deno.test("a holder gives signs of life, and finds out that it was taken over", () =>
  withFolder(async (folder) => {
    const run = `${folder}/run`;
    const claim = (await claimRun(run, { heartbeat: 0.05, stale: 30 })) as Claim;
    const old = new Date(Date.now() - 3_600_000);
    await Deno.utime(`${run}/claim-1.json`, old, old);
    await wait(300);
    const { mtime } = await Deno.stat(`${run}/claim-1.json`);
    assert(Date.now() - mtime!.getTime() < 10_000, `${mtime}`);
    await claim.check();
    await foreign(run, 2, 0);
    const error = await assertRejects(() => claim.check(), TakenOver);
    assert(error.message.includes("another process took it over"), error.message);
    await claim.release(); // Not its own any more: the other's stays.
    assertEquals(await names(run), ["claim-1.json", "claim-2.json"]);
  }));

Deno.test("who was taken over does not publish; the other's result counts", () =>
  withFolder(async (folder) => {
    const [cell] = cells({ methods: "full" });
    const run = `${folder}/${cellId(cell)}`;
    let attempts = 0;
    const found = options(folder);
    const summary = await runSweep([cell], async (cell, hooks) => {
      const result = await runCell(cell, hooks);
      if (attempts++ === 0) {
        await foreign(run, 2, 0);
        // The other one is done a little later, and lets go.
        setTimeout(async () => {
          await runSweep([cell], runCell, options(`${folder}/other`));
          const path = `${folder}/other/${cellId(cell)}`;
          await Deno.copyFile(`${path}/result.json`, `${run}/result.json`);
          for (const number of [1, 2]) await Deno.remove(`${run}/claim-${number}.json`);
        }, 300);
      }
      return result;
    }, found);
    assertEquals([summary, attempts], [{ done: 0, skipped: 1, failed: 0 }, 1]);
    const left = await names(run);
    assertEquals(left, ["metrics.jsonl", "result.json", "run.json"]); // Nothing of the late result.
  }));

Deno.test("what fails in another process is told as failed, and not tried again", () =>
  withFolder(async (folder) => {
    const grid = cells({ methods: "full lora" });
    const run = `${folder}/${cellId(grid[0])}`;
    await foreign(run, 1, 0);
    setTimeout(async () => {
      await Deno.writeTextFile(`${run}/run.json`, JSON.stringify({}));
      await Deno.writeTextFile(`${run}/error.json`, JSON.stringify({ message: "it broke" }));
      await Deno.remove(`${run}/claim-1.json`);
    }, 300);
    const ran: string[] = [];
    const found = options(folder);
    const summary = await runSweep(grid, (cell, hooks) => {
      ran.push(cellId(cell));
      return runCell(cell, hooks);
    }, found).catch((error) => error);
    assertEquals(ran, [cellId(grid[1])]);
    assertEquals(summary, { done: 1, skipped: 0, failed: 1 });
  }));
