import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { predictTask, withRuns } from "./predict_task.ts";

interface Access {
  permission: string;
  value: string;
}

const root = Deno.cwd();

/** Whether a path, as it was asked for, lies in one of the folders. */
function lies(path: string, folders: readonly string[]): boolean {
  const absolute = new URL(path, `file://${root}/`).pathname;
  return folders.some((folder) => {
    const wanted = new URL(folder, `file://${root}/`).pathname.replace(/\/$/, "");
    return absolute === wanted || absolute.startsWith(`${wanted}/`);
  });
}

/** What of it the set does not hold. */
function beyond(
  accesses: Access[],
  set: { read: string[]; write: string[]; ffi?: string[]; env?: string[]; sys?: string[] },
): Access[] {
  return accesses.filter(({ permission, value }) =>
    !(permission === "read" && lies(value, set.read) ||
      permission === "write" && lies(value, set.write) ||
      permission === "env" && set.env?.includes(value) ||
      permission === "sys" && set.sys?.includes(value) ||
      permission === "ffi" && lies(value, set.ffi ?? []))
  );
}

Deno.test("the sweep task asks for nothing beyond its own permission set", async () => {
  const [command, ...args] = config.tasks.sweep.command.split(" ");
  assertEquals(command, "deno");
  const out = "runs/.permissions_test";
  const audit = await Deno.makeTempFile();
  try {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...args,
        ...["--methods", "zero_shot lora:rank=1", "--train-size", "16", "--epochs", "1"],
        ...["--batch", "8", "--max-length", "16", "--out", out],
      ],
      env: { DENO_AUDIT_PERMISSIONS: audit, NO_COLOR: "1" },
      stdout: "null",
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const lines = (await Deno.readTextFile(audit)).trimEnd().split("\n");
    const accesses = lines.map((line) => JSON.parse(line) as Access);
    assert(accesses.some(({ value }) => value.endsWith("result.json")), "no result was written");
    assertEquals(beyond(accesses, config.permissions.sweep), []);
  } finally {
    await Deno.remove(audit);
    await Deno.remove(out, { recursive: true }).catch(() => {});
  }
});

/** No driver is found, as on a machine that has none. */
const noDriver = {
  VK_ICD_FILENAMES: "/nonexistent.json",
  VK_DRIVER_FILES: "/nonexistent.json",
  DENO_WEBGPU_BACKEND: "vulkan",
};

Deno.test("predict works without any Vulkan driver, under its own permission set", () =>
  withRuns("lora:rank=1", async (out, [id]) => {
    const audit = await Deno.makeTempFile();
    try {
      const run = ["--run", `${out}/${id}`, "--format", "csv"];
      const texts = ["the music is superb", "a stale film"];
      const env = { ...noDriver, DENO_AUDIT_PERMISSIONS: audit };
      const { code, out: printed, err } = await predictTask([...run, ...texts], { env });
      assertEquals(code, 0, err);
      assertEquals(err, "Scored by ONNX Runtime (cpu): no WebGPU adapter was found\n");
      const lines = (await Deno.readTextFile(audit)).trimEnd().split("\n");
      const accesses = lines.map((line) => JSON.parse(line) as Access);
      const { predict } = config.permissions;
      assertEquals(beyond(accesses, predict), []);
      // The export was written, and one library loaded: what the audit sees is what happened.
      assert(accesses.some(({ permission }) => permission === "write"), "nothing was exported");
      const libraries = accesses.filter(({ permission }) => permission === "ffi");
      assertEquals(libraries.length, 1);
      assertMatch(libraries[0].value, /\/onnxruntime_binding\.node$/);

      // The driver was hidden indeed, and what it computes is the same.
      const hidden = await predictTask([...run, "--backend", "webgpu", ...texts], {
        env: noDriver,
      });
      assertMatch(hidden.err, /error: Cannot find a WebGPU adapter: /);
      const shown = await predictTask([...run, "--backend", "webgpu", ...texts]);
      const labels = (csv: string) => csv.split("\n").map((line) => line.split(",")[1]);
      assertEquals(labels(shown.out), labels(printed));
    } finally {
      await Deno.remove(audit);
    }
  }));

Deno.test("the launcher predicts where no driver is and none may be installed", () =>
  withRuns("zero_shot", async (out, [id]) => {
    const { code, stdout, stderr } = await new Deno.Command("./tunegrid", {
      args: ["predict", "--run", `${out}/${id}`, "--format", "jsonl", "the music is superb"],
      // No driver's manifest and no loader lie below this folder.
      env: { VK_ICD_FILENAMES: "", VK_DRIVER_FILES: "", TUNEGRID_SYSROOT: "/nonexistent" },
    }).output();
    const err = new TextDecoder().decode(stderr);
    assertEquals(code, 0, err);
    assert(!err.includes("installing"), err);
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)).text, "the music is superb");
  }));

Deno.test("an access beyond the set is told from one within", () => {
  const set = { read: ["."], write: ["runs", ".cache"], ffi: ["node_modules/a"] };
  const within = [
    { permission: "read", value: "lib/data/a.json" },
    { permission: "read", value: root },
    { permission: "write", value: `${root}/runs/a` },
    { permission: "write", value: ".cache/a" },
    { permission: "ffi", value: `${root}/node_modules/a/b.node` },
  ];
  const outside = [
    { permission: "read", value: "../shared" },
    { permission: "read", value: `${root}-other/a` },
    { permission: "write", value: "lib/a" },
    { permission: "write", value: "runs/../a" },
    { permission: "ffi", value: `${root}/node_modules/b/b.node` },
    { permission: "env", value: "HOME" },
    { permission: "net", value: "localhost" },
  ];
  assertEquals(beyond([...within, ...outside], set), outside);
});
