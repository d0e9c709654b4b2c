import { assert, assertEquals } from "@std/assert";
import config from "../deno.json" with { type: "json" };

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
function beyond(accesses: Access[], set: { read: string[]; write: string[] }): Access[] {
  return accesses.filter(({ permission, value }) =>
    !(permission === "read" && lies(value, set.read) ||
      permission === "write" && lies(value, set.write))
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

Deno.test("an access beyond the set is told from one within", () => {
  const set = { read: ["."], write: ["runs", ".cache"] };
  const within = [
    { permission: "read", value: "lib/data/a.json" },
    { permission: "read", value: root },
    { permission: "write", value: `${root}/runs/a` },
    { permission: "write", value: ".cache/a" },
  ];
  const outside = [
    { permission: "read", value: "../shared" },
    { permission: "read", value: `${root}-other/a` },
    { permission: "write", value: "lib/a" },
    { permission: "write", value: "runs/../a" },
    { permission: "env", value: "HOME" },
    { permission: "net", value: "localhost" },
  ];
  assertEquals(beyond([...within, ...outside], set), outside);
});
