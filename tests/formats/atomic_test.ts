import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  createFileExclusive,
  discardUnfinishedWrites,
  writeFileAtomic,
} from "../../lib/formats/atomic.ts";

function inFolder(fn: (dir: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const dir = await Deno.makeTempDir();
    try {
      await fn(dir);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  };
}

const entries = (dir: string) => [...Deno.readDirSync(dir)].map(({ name }) => name).sort();

Deno.test(
  "writeFileAtomic() replaces a file and leaves nothing beside it",
  inFolder(async (dir) => {
    await writeFileAtomic(`${dir}/a.txt`, "old");
    await writeFileAtomic(`${dir}/a.txt`, "é");
    assertEquals(await Deno.readFile(`${dir}/a.txt`), new Uint8Array([0xc3, 0xa9]));
    await writeFileAtomic(`${dir}/b`, [
      new Uint8Array([1, 2]),
      new Uint8Array([]),
      new Uint8Array([3]),
    ]);
    assertEquals(await Deno.readFile(`${dir}/b`), new Uint8Array([1, 2, 3]));
    assertEquals(entries(dir), ["a.txt", "b"]);
  }),
);

Deno.test(
  "writeFileAtomic() keeps the old file and removes the new one when writing fails",
  inFolder(async (dir) => {
    await writeFileAtomic(`${dir}/a`, "old");
    function* failing() {
      yield new Uint8Array(1000);
      throw new Error("stopped half-way");
    }
    await assertRejects(() => writeFileAtomic(`${dir}/a`, failing()), Error, "stopped half-way");
    assertEquals(await Deno.readTextFile(`${dir}/a`), "old");
    assertEquals(entries(dir), ["a"]);
  }),
);

Deno.test(
  "writeFileAtomic() names what stands in its way",
  inFolder(async (dir) => {
    await assertRejects(
      () => writeFileAtomic(`${dir}/none/a`, "x"),
      Error,
      `Cannot write ${dir}/none/a: its folder ${dir}/none/ does not exist; create it first`,
    );
    await Deno.mkdir(`${dir}/folder`);
    await assertRejects(() => writeFileAtomic(`${dir}/folder`, "x"), Error, "it is a folder");
    await Deno.writeTextFile(`${dir}/file`, "");
    await assertRejects(() => writeFileAtomic(`${dir}/file/a`, "x"), Error, "is not a folder");
    assertEquals(entries(dir), ["file", "folder"]);
  }),
);

Deno.test(
  "createFileExclusive() lets exactly one of many publish",
  inFolder(async (dir) => {
    const wins = await Promise.all(
      Array.from({ length: 20 }, (_, i) => createFileExclusive(`${dir}/result`, `from ${i}`)),
    );
    assertEquals(wins.filter((won) => won).length, 1);
    assertEquals(await Deno.readTextFile(`${dir}/result`), `from ${wins.indexOf(true)}`);
    assertEquals(entries(dir), ["result"]);
    await assertRejects(() => createFileExclusive(`${dir}/none/a`, "x"), Error, "does not exist");
  }),
);

Deno.test(
  "discardUnfinishedWrites() removes what a process would leave behind",
  inFolder(async (dir) => {
    let during: string[] = [];
    function* interrupted() {
      yield new Uint8Array(10);
      during = entries(dir);
      discardUnfinishedWrites();
      assertEquals(entries(dir), []);
    }
    await assertRejects(() => writeFileAtomic(`${dir}/a`, interrupted()));
    assert(during.length === 1 && during[0].startsWith(".a."));
    assertEquals(entries(dir), []);
  }),
);
