import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Random } from "../../lib/data/random.ts";
import { readCheckpoint } from "../../lib/train/checkpoint.ts";
import { ended, runFiles, startSweep } from "./sweep_process.ts";

/** All 20 kills take some minutes. */
const ALL = Deno.env.get("TUNEGRID_ALL") === "1";

/** Names in the only run's folder; none before it is there. */
async function runNames(out: string): Promise<{ folder: string; names: string[] }> {
  for await (const { name, isDirectory } of Deno.readDir(out)) {
    if (!isDirectory) continue;
    const folder = `${out}/${name}`;
    const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
    return { folder, names: names.sort() };
  }
  return { folder: "", names: [] };
}

async function checkpoints(out: string): Promise<string[]> {
  const { folder, names } = await runNames(out);
  return names.filter((name) => name.startsWith("checkpoint-")).map((name) => `${folder}/${name}`);
}

const isTorn = (name: string) => name.startsWith(".checkpoint-") && name.endsWith(".tmp");

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Looks again and again until there is something, or the process has ended. */
async function until<T>(
  child: Deno.ChildProcess,
  look: () => Promise<T | null>,
  pause: number,
): Promise<T | null> {
  let over = false;
  child.status.then(() => over = true);
  while (!over) {
    const found = await look();
    if (found !== null) return found;
    await wait(pause);
  }
  return null;
}

/** Until a checkpoint beyond the latest is there. */
async function newCheckpoint(child: Deno.ChildProcess, out: string): Promise<string | null> {
  const before = (await checkpoints(out)).at(-1) ?? "";
  return await until(child, async () => {
    const latest = (await checkpoints(out)).at(-1) ?? "";
    return latest > before ? latest : null;
  }, 5);
}

/** Until a checkpoint is being written, a few after the first; told by the file system at once. */
async function beingWritten(child: Deno.ChildProcess, out: string, skip: number): Promise<boolean> {
  const { folder } = await runNames(out);
  using watcher = Deno.watchFs(folder === "" ? out : folder);
  child.status.then(() => {
    try {
      watcher.close();
    } catch {
      // Closed already.
    }
  });
  for await (const { kind, paths } of watcher) {
    if (kind !== "create" || !paths.some((path) => isTorn(path.split("/").pop()!))) continue;
    if (skip-- <= 0) return true;
  }
  return false;
}

const cell = [
  ...["--methods", "lora:rank=2;dropout=0.1", "--train-size", "1200"],
  ...[
    "--epochs",
    ALL ? "5" : "2",
    "--batch",
    "4",
    "--max-length",
    "24",
    "--keep",
    "best",
    "--checkpoint",
    "3",
  ],
];

Deno.test(
  `a sweep killed ${ALL ? 20 : 7} times ends in the same bytes${
    ALL ? "" : " (20 times with TUNEGRID_ALL=1)"
  }`,
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      const random = new Random(9, "kills");
      const [whole, killed] = [`${folder}/whole`, `${folder}/killed`];
      for (const out of [whole, killed]) await Deno.mkdir(out);
      const undisturbed = await ended(startSweep(whole, ...cell));
      assertEquals([undisturbed.code, undisturbed.err], [0, ""]);

      const wanted = ALL
        ? { early: 5, later: 11, inWriting: 4 }
        : { early: 1, later: 3, inWriting: 3 };
      const kills = { early: 0, later: 0, inWriting: 0 };
      let goneOn = 0;
      const kill = async (child: Deno.ChildProcess): Promise<void> => {
        child.kill("SIGKILL");
        const { signal, out, err } = await ended(child);
        assertEquals(signal, "SIGKILL", `it ended before it was killed:\n${out}\n${err}`);
        for (const path of await checkpoints(killed)) await readCheckpoint(path); // None is torn.
        if (out.includes("Going on from step ")) goneOn++;
      };
      while (kills.early < wanted.early) {
        const child = startSweep(killed, ...cell);
        await wait(random.uniform(0, 3000));
        await kill(child);
        kills.early++;
      }
      while (kills.later < wanted.later) {
        const child = startSweep(killed, ...cell);
        if (await newCheckpoint(child, killed) === null) throw new Error((await ended(child)).err);
        await wait(random.uniform(0, 300));
        await kill(child);
        kills.later++;
      }
      for (let tries = 0; kills.inWriting < wanted.inWriting; tries++) {
        assert(tries < 40, `only ${kills.inWriting} of ${tries} kills were inside a write`);
        const child = startSweep(killed, ...cell);
        const found = await beingWritten(child, killed, random.below(4));
        if (!found) throw new Error((await ended(child)).err);
        await kill(child);
        // The next start removes it: what is there now is of this kill.
        if ((await runNames(killed)).names.some(isTorn)) kills.inWriting++;
      }

      const last = await ended(startSweep(killed, ...cell));
      assertEquals([last.code, last.err], [0, ""]);
      assertStringIncludes(last.out, "Going on from step ");
      const [expected, found] = [await runFiles(whole), await runFiles(killed)];
      for (const path of [...found.keys()]) {
        // A claim that was being made when its process was killed; removed when it is old.
        if (path.split("/")[1].startsWith(".")) found.delete(path);
      }
      assertEquals([...found.keys()], [...expected.keys()]);
      for (const [path, text] of expected) assert(found.get(path) === text, `${path} differs`);
      assertEquals(kills, wanted);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test("a sweep that is asked to stop saves its cell first, and goes on from there", async () => {
  const out = await Deno.makeTempDir();
  try {
    const args = [
      ...["--methods", "lora:rank=2", "--train-size", "800", "--epochs", "1", "--batch", "4"],
      ...["--eval", "validation", "--checkpoint", "1h", "--log-format", "json"],
    ];
    const child = startSweep(out, ...args);
    let [printed, asked] = ["", false];
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      printed += text;
      if (asked || !printed.includes('"event":"step"')) continue;
      child.kill("SIGTERM");
      asked = true;
    }
    const err = await new Response(child.stderr).text();
    assertEquals((await child.status).code, 130, err);
    assertStringIncludes(err, "the same command does what is missing");
    const [saved] = await checkpoints(out);
    const { step } = (await readCheckpoint(saved)).checkpoint;
    assert(step > 0 && step < 200, `${step}`);
    const again = await ended(startSweep(out, ...args));
    assertEquals(again.code, 0, again.err);
    assertStringIncludes(again.out, `Going on from step ${step} `);
    assertEquals(await checkpoints(out), []);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("cells that share a program go on together wherever it was killed, to the same bytes", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const args = [
      ...["--methods", "lora:rank=1,2;dropout=0.1 adapter:bottleneck=2", "--train-size", "400"],
      ...["--epochs", "2", "--batch", "4", "--max-length", "24", "--eval", "validation"],
      ...["--checkpoint", "3", "--cells-per-program", "8"],
    ];
    const [alone, killed] = [`${folder}/alone`, `${folder}/killed`];
    for (const out of [alone, killed]) await Deno.mkdir(out);
    const undisturbed = await ended(startSweep(alone, ...args, "--cells-per-program", "1"));
    assertEquals([undisturbed.code, undisturbed.err], [0, ""]);

    const random = new Random(3, "kills");
    const going = (out: string) => out.match(/(?<=Going on from step )\d+/g) ?? [];
    for (let kills = 0; kills < 3; kills++) {
      const child = startSweep(killed, ...args);
      assert(await newCheckpoint(child, killed) !== null);
      await wait(random.uniform(0, 300));
      // The first asks, and so saves all of them where they stand.
      child.kill(kills === 0 ? "SIGTERM" : "SIGKILL");
      const { code, out, err } = await ended(child);
      assertEquals(code, kills === 0 ? 130 : 137, `${out}\n${err}`);
      if (kills === 1) assertEquals([going(out).length, new Set(going(out)).size], [3, 1]);
    }
    const done = [...(await runFiles(killed)).keys()].filter((path) =>
      path.endsWith("/result.json")
    );
    const last = await ended(startSweep(killed, ...args));
    assertEquals([last.code, last.err], [0, ""]);
    assertEquals(going(last.out).length + done.length, 3); // A late kill may find some done.
    const [expected, found] = [await runFiles(alone), await runFiles(killed)];
    for (const path of [...found.keys()]) {
      if (path.split("/")[1].startsWith(".claim")) found.delete(path);
    }
    assertEquals([...found.keys()], [...expected.keys()]);
    for (const [path, text] of expected) assert(found.get(path) === text, `${path} differs`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** A file system of its own of one mebibyte; null where none can be mounted. */
async function smallDisk(): Promise<{ path: string; remove: () => Promise<void> } | null> {
  const path = await Deno.makeTempDir();
  const command = (name: string, ...args: string[]) =>
    new Deno.Command(name, { args, stdout: "null", stderr: "null" }).output();
  const mounted = await command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path)
    .then(({ success }) => success, () => false);
  if (!mounted) {
    await Deno.remove(path);
    return null;
  }
  return {
    path,
    remove: async () => {
      await command("umount", path);
      await Deno.remove(path);
    },
  };
}

const disk = await smallDisk();
await disk?.remove();

Deno.test({
  name: `a sweep without space left fails, says what to do, and goes on later${
    disk === null ? " (ignored: no file system can be mounted here)" : ""
  }`,
  ignore: disk === null,
  fn: async () => {
    const { path, remove } = (await smallDisk())!;
    const folder = await Deno.makeTempDir();
    try {
      const args = [
        ...["--methods", "lora:rank=2", "--train-size", "400", "--epochs", "2", "--batch", "4"],
        ...["--max-length", "24", "--eval", "validation", "--checkpoint", "10"],
      ];
      await Deno.mkdir(`${path}/runs`);
      const child = startSweep(`${path}/runs`, ...args);
      assert(await newCheckpoint(child, `${path}/runs`) !== null);
      using filler = await Deno.open(`${path}/filler`, { write: true, create: true });
      for (let size = 65536; size >= 1; size = Math.floor(size / 4)) {
        for (let n: number | null = 1; n !== null;) {
          n = await filler.write(new Uint8Array(size)).catch(() => null);
        }
      }
      const { code, out, err } = await ended(child);
      assertEquals(code, 1, out);
      assertStringIncludes(out, "the disk is full; make room or choose another folder with --out");
      assertStringIncludes(out, "the cell goes on from its last checkpoint");
      assertStringIncludes(err, "error: ");
      const saved = await checkpoints(`${path}/runs`);
      const steps = await Promise.all(
        saved.map(async (one) => (await readCheckpoint(one)).checkpoint.step),
      );
      assert(steps.length > 0 && steps.at(-1)! >= 10);

      await Deno.remove(`${path}/filler`);
      filler.close();
      const again = await ended(startSweep(`${path}/runs`, ...args));
      assertEquals([again.code, again.err], [0, ""]);
      assertStringIncludes(again.out, `Going on from step ${steps.at(-1)} `);
      await Deno.mkdir(`${folder}/runs`);
      assertEquals((await ended(startSweep(`${folder}/runs`, ...args))).code, 0);
      assertEquals(await runFiles(`${path}/runs`), await runFiles(`${folder}/runs`));
    } finally {
      await remove();
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("two sweeps on one folder at once: each cell runs once, no file is torn", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const args = [
      // Of one seed, LoRA and adapter share a program: two of them, and three cells alone.
      ...["--methods", "head full soft_prompt:tokens=1 lora:rank=1 adapter:bottleneck=1"],
      ...["--train-size", "64", "--cells-per-program", "8"],
      ...["--epochs", "1", "--batch", "8", "--max-length", "24", "--eval", "validation"],
    ];
    const [both, one] = [`${folder}/both`, `${folder}/one`];
    for (const out of [both, one]) await Deno.mkdir(out);
    const [a, b] = await Promise.all(
      [startSweep(both, ...args), startSweep(both, ...args)].map(ended),
    );
    assertEquals([a.code, a.err, b.code, b.err], [0, "", 0, ""]);
    const ran = [a, b].map(({ out }) => out.match(/^\[\d\/5\] .*(?=: accuracy )/gm) ?? []);
    assertEquals(ran.flat().length, 5, JSON.stringify(ran));
    assertEquals(new Set(ran.flat()).size, 5);
    assert(ran.every((own) => own.length > 0), `one process ran them all: ${JSON.stringify(ran)}`);
    assertEquals((await ended(startSweep(one, ...args))).code, 0);
    assertEquals(await runFiles(both), await runFiles(one));
    const table = async (out: string) => {
      const text = await Deno.readTextFile(`${out}/table.csv`);
      return text.split("\n").map((line) => line.split(",").slice(0, 5));
    };
    assertEquals(await table(both), await table(one));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
