import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { HubServer, textFile } from "./hub_server.ts";

const base = {
  id: "owner/base",
  kind: "model" as const,
  files: [
    textFile("config.json", "{}"),
    textFile("tokenizer.json", "{}"),
    textFile("model.safetensors", "weights"),
  ],
};

async function run(flags: string[], script: string, args: string[], env = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-check", "--no-prompt", ...flags, script, ...args],
    env: { HF_TOKEN: "", NO_COLOR: "1", ...env },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** Names of the permissions that a run asked for, with what for. */
async function audited(audit: string): Promise<{ permission: string; value: string }[]> {
  return (await Deno.readTextFile(audit)).trimEnd().split("\n").map((line) => JSON.parse(line));
}

Deno.test("fetch and push reach the Hub's hosts and no other", async () => {
  await using server = new HubServer(base);
  const refused = [server.url, "https://example.com", "https://hf.co.example.com"];
  const hub = ["huggingface.co:443", "us.aws.cdn.hf.co:443", "transfer.xethub-eu.hf.co:443"];
  const others = ["huggingface.co:80", "nothf.co:443", "huggingface.co.example.com:443"];
  for (const task of ["fetch", "push"] as const) {
    const places = [...refused, ...hub, ...others];
    const { out } = await run([`-P=${task}`], "tests/hub/reach.ts", places);
    assertEquals(out.trimEnd().split("\n"), [
      ...refused.map((place) => `${place} NotCapable`),
      ...hub.map((place) => `${place} granted`),
      ...others.map((place) => `${place} prompt`),
    ], task);
  }
  // What the Hub might lead to is refused as well, and said.
  const folder = await Deno.makeTempDir();
  try {
    const { code, err } = await run(
      ["-P=fetch", `--allow-write=${folder}`],
      "tests/hub/fetch_process.ts",
      ["fetch", server.url, base.id, "--to", `${folder}/base`],
    );
    assertEquals(code, 1);
    assertStringIncludes(
      err,
      "this task may reach the Hub's hosts alone (huggingface.co and those",
    );
    assertEquals(server.log, []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("no other task has network access, but the tests to the loopback", () => {
  const hosts = ["huggingface.co:443", "*.hf.co:443"];
  const sets = config.permissions as Record<string, { net?: string[] }>;
  const reaching = Object.entries(sets).filter(([, { net }]) => net !== undefined);
  assertEquals(Object.fromEntries(reaching.map(([name, { net }]) => [name, net])), {
    test: ["127.0.0.1"],
    fetch: hosts,
    push: hosts,
  });
});

Deno.test("fetch and push ask for nothing beyond their own sets, but the Hub of the test", async () => {
  await using server = new HubServer(base);
  const folder = await Deno.makeTempDir();
  const audit = `${folder}/audit`;
  const own = ".cache/hub_permissions_test";
  const { host } = new URL(server.url);
  try {
    await Deno.mkdir(`${own}/export`, { recursive: true });
    await Deno.writeTextFile(`${own}/export/README.md`, "# A card");
    const commands = {
      fetch: [base.id, "--to", `${own}/base`],
      push: [`${own}/export`, "owner/new"],
    };
    for (const [task, args] of Object.entries(commands)) {
      const { code, err } = await run(
        [`-P=${task}`, `--allow-net=${host}`],
        "tests/hub/fetch_process.ts",
        [task, server.url, ...args],
        { DENO_AUDIT_PERMISSIONS: audit, HF_TOKEN: "hf_secretOfTheTest" },
      );
      assertEquals([code, err], [0, ""], task);
      const root = `${Deno.cwd()}/`;
      const beyond = (await audited(audit)).filter(({ permission, value }) => {
        const path = value.startsWith(root) ? value.slice(root.length) : value;
        if (permission === "env") return value !== "HF_TOKEN";
        if (permission === "write") return task === "push" || !path.startsWith(".cache/");
        if (permission === "read") return path.startsWith("/") || path.split("/").includes("..");
        return !(permission === "net" && (value === host || value.startsWith(`${server.url}/`)));
      });
      assertEquals(beyond, [], task);
      await Deno.remove(audit);
    }
    assert(server.pushed.has("README.md"));
  } finally {
    await Deno.remove(folder, { recursive: true });
    await Deno.remove(own, { recursive: true });
  }
});
