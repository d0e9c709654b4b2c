import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parquetWriteBuffer } from "hyparquet-writer";
import { embeddedBase } from "../../lib/data/embedded/base.ts";
import { TOKENIZER, TOKENIZER_CONFIG } from "../../lib/data/embedded/tokenizer.ts";
import { encodeSafetensors } from "../../lib/formats/safetensors.ts";
import { COMMIT, type Held, type HeldFile, HubServer, textFile } from "./hub_server.ts";

const root = Deno.cwd();

/** The embedded base as a repository of the Hub. */
async function base(): Promise<Held> {
  const { config, source } = embeddedBase();
  const tensors = new Map<string, { shape: number[]; data: Float32Array<ArrayBuffer> }>();
  for (const name of source.names()) {
    tensors.set(name, { shape: [...source.info(name).shape], data: await source.read(name) });
  }
  const pieces = encodeSafetensors(tensors);
  const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer());
  return {
    id: "owner/small",
    kind: "model",
    files: [
      textFile("config.json", JSON.stringify(config)),
      textFile("tokenizer.json", JSON.stringify(TOKENIZER)),
      textFile("tokenizer_config.json", JSON.stringify(TOKENIZER_CONFIG)),
      { path: "model.safetensors", bytes, lfs: true },
    ],
  };
}

function data(): Held {
  const split = (name: string, count: number): HeldFile => ({
    path: `data/${name}-00000-of-00001.parquet`,
    lfs: true,
    bytes: new Uint8Array(parquetWriteBuffer({
      columnData: [
        { name: "sentence", data: Array.from({ length: count }, (_, i) => `film ${name} ${i}`) },
        { name: "label", data: Array.from({ length: count }, (_, i) => BigInt(i % 2)) },
      ],
    })),
  });
  const files = [textFile("README.md", "# Data"), split("train", 16), split("validation", 8)];
  return { id: "owner/texts", kind: "dataset", files };
}

/** Runs a script of this project in a folder of its own, where its cache lies. */
async function run(script: string, args: string[], cwd: string) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-check", "-A", "--config", `${root}/deno.json`, `${root}/${script}`]
      .concat(args),
    env: { HF_TOKEN: "", NO_COLOR: "1" },
    cwd,
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("a base and data of the Hub, once fetched, are swept by their names", async () => {
  await using server = new HubServer(await base(), data());
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    const names = ["--base", "hf:owner/small@main", "--data", `hf:owner/texts@${COMMIT}`];
    const sweep = [...names, "--methods", "head", "--epochs", "1", "--batch", "8"];
    const missing = await run("experiments/sweep.ts", sweep, folder);
    assertEquals(missing.code, 1);
    assertStringIncludes(missing.err, "run ./tunegrid fetch owner/small --revision main");
    const fetch = (...args: string[]) =>
      run("tests/hub/fetch_process.ts", ["fetch", server.url, ...args], folder);
    const fetched = await fetch("owner/small");
    assertEquals([fetched.code, fetched.err], [0, ""]);
    assertStringIncludes(fetched.out, "Use it with --base hf:owner/small@main");
    assertEquals((await fetch("owner/texts", "--data", "--revision", COMMIT)).code, 0);
    const plan = await run("experiments/sweep.ts", [...sweep, "--dry-run"], folder);
    assertEquals([plan.code, plan.err], [0, ""]);
    const swept = await run("experiments/sweep.ts", sweep, folder);
    assertEquals([swept.code, swept.err], [0, ""]);
    const [name] = [...Deno.readDirSync(`${folder}/runs`)].filter((one) => one.isDirectory);
    const { cell } = JSON.parse(await Deno.readTextFile(`${folder}/runs/${name.name}/run.json`));
    assertEquals([cell.base.name, cell.data.name], ["small", `texts@${COMMIT}`]);
    assert(server.log.length > 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
