/** What is published: complete, small, and of one version everywhere. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { publishDryRun } from "./package.ts";

/** The embedded weights, 249,152 numbers of four bytes in base64; nothing else may be large. */
const WEIGHTS = { path: "lib/data/embedded/weights.ts", bytes: 1_400_000 };

/** The most that any other file may have. */
const FILE_BYTES = 64_000;

/** The most that all files together may have. */
const PACKAGE_BYTES = 3_000_000;

Deno.test("the package holds the library alone, in small files", async () => {
  const { ok, output, files } = await publishDryRun();
  assert(ok, output);
  const paths = files.map(({ path }) => path);
  for (const entry of Object.values(config.exports)) assert(paths.includes(entry.slice(2)), entry);
  for (const needed of ["README.md", "LICENSE", "CHANGELOG.md", "deno.json"]) {
    assert(paths.includes(needed), needed);
  }
  const foreign = paths.filter((path) =>
    !/^(kernels\/|lib\/(?!std\/)|[\w]+\.ts$|[A-Z]+(\.md)?$|deno\.json$)/.test(path) ||
    /test|fixture|\.(safetensors|onnx|csv|tsv|gz|parquet|npy|png|svg)$/i.test(path)
  );
  assertEquals(foreign, []);
  const large = files.filter(({ path, bytes }) =>
    bytes > (path === WEIGHTS.path ? WEIGHTS.bytes : FILE_BYTES)
  );
  assertEquals(large, []);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  assert(total > WEIGHTS.bytes / 2 && total < PACKAGE_BYTES, `${total} bytes`);
});

Deno.test("the changelog's first version is the package's", async () => {
  const changelog = await Deno.readTextFile("CHANGELOG.md");
  const [, version, date] = /^## \[(.+?)\] - (\S+)$/m.exec(changelog) ?? [];
  assertEquals(version, config.version);
  assertMatch(date, /^\d{4}-\d\d-\d\d$/);
});

Deno.test("the workflows take the Deno that the launcher installs", async () => {
  const launcher = await Deno.readTextFile("tunegrid");
  const [, version] = /^deno_version=(\S+)/m.exec(launcher) ?? [];
  for (const name of ["ci", "publish"]) {
    const workflow = await Deno.readTextFile(`.github/workflows/${name}.yml`);
    const versions = [...workflow.matchAll(/deno-version: (\S+)/g)].map(([, one]) => one);
    assert(versions.length > 0, name);
    assertEquals([...new Set(versions)], [version], name);
    for (const [, action] of workflow.matchAll(/uses: (\S+)/g)) assertMatch(action, /@v\d+$/);
  }
});
