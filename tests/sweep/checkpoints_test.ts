import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readCheckpoint } from "../../lib/train/checkpoint.ts";

/** Saves two checkpoints, the second one larger than the first by a mebibyte; prints what fails. */
const script = `
import { Checkpoints } from "${import.meta.resolve("../../lib/sweep/checkpoints.ts")}";
const identity = { cell: "0123", adapter: "a", limits: "l", probe: "p", deno: "d", v8: "v" };
const checkpoints = new Checkpoints(Deno.args[0], identity);
for (const [step, size] of [[1, 2], [2, 2 ** 18]]) {
  const variables = new Map([["a", { shape: [size], data: new Float32Array(size).fill(step) }]]);
  await checkpoints.save({
    ...{ step, epoch: 1, batch: step, trainSeconds: 0, seconds: 0, outcomes: [], losses: [0.5] },
    ...{ variables, kept: new Map() },
  }).catch((error) => console.log(error.message));
}
const latest = await checkpoints.latest(() => {});
console.log("latest", latest.step, latest.variables.get("a").data.length);
`;

Deno.test("a checkpoint that has no room is told, and the one before it stays whole", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/run`);
    await Deno.writeTextFile(`${folder}/script.ts`, script);
    const save = async (limit: string) => {
      // Shells count in blocks of 512 or of 1024 bytes. The signal would end the process; without it, a
      // write fails, as on a full disk.
      const { code, stdout, stderr } = await new Deno.Command("sh", {
        args: [
          ...["-c", `${limit} exec "$@"`, "sh", Deno.execPath(), "run", "-A", "-q", "--no-check"],
          ...["--frozen", `--config=${new URL("../../deno.json", import.meta.url).pathname}`],
          ...[`${folder}/script.ts`, `${folder}/run`],
        ],
      }).output();
      assertEquals(code, 0, new TextDecoder().decode(stderr));
      return new TextDecoder().decode(stdout);
    };
    const limited = await save('trap "" XFSZ; ulimit -f 600;');
    assertStringIncludes(limited, "it is larger than a file may be here (see ulimit -f");
    assertStringIncludes(limited, "make room or choose another folder with --out");
    assertStringIncludes(limited, "the cell goes on from its last checkpoint");
    assertStringIncludes(limited, "latest 1 2\n");
    const names = (await Array.fromAsync(Deno.readDir(`${folder}/run`))).map(({ name }) => name);
    assertEquals(names, ["checkpoint-000000001.safetensors"]); // And nothing half-written.
    const { checkpoint } = await readCheckpoint(`${folder}/run/${names[0]}`);
    assertEquals([checkpoint.step, checkpoint.losses], [1, [0.5]]);
    const free = await save("");
    assertEquals(free, `latest 2 ${2 ** 18}\n`);
    assert((await Array.fromAsync(Deno.readDir(`${folder}/run`))).length >= 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
