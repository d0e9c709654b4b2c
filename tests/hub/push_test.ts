import { assert, assertEquals, assertRejects } from "@std/assert";
import { HubError } from "../../lib/hub/hub_error.ts";
import { filesToPush, pushFolder } from "../../lib/hub/push.ts";
import { HubServer, POOR_TOKEN, someBytes, TOKEN, XET_TOKEN } from "./hub_server.ts";

const files: Record<string, Uint8Array<ArrayBuffer>> = {
  "README.md": new TextEncoder().encode("# A card\n"),
  "adapter_config.json": new TextEncoder().encode("{}\n"),
  // Above 10 MB the client reads the file as a stream.
  "adapter_model.safetensors": new Uint8Array(11_000_000).map((_, i) => i % 251),
  "head/notes & figures.txt": new TextEncoder().encode("é\n"),
};
const left = [".lock", ".complete.json", "model.safetensors.part", "model.safetensors.part.etag"];

async function inFolder(
  fn: (folder: string, server: HubServer) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  await using server = new HubServer({ id: "owner/there", kind: "model", files: [] });
  try {
    await Deno.mkdir(`${folder}/head`);
    for (const [name, bytes] of Object.entries(files)) {
      await Deno.writeFile(`${folder}/${name}`, bytes);
    }
    for (const name of left) await Deno.writeTextFile(`${folder}/${name}`, "x");
    await fn(folder, server);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const push = (folder: string, server: HubServer, id: string, token: string | null = TOKEN) =>
  pushFolder({ folder, id, private: true, access: { url: server.url, token, backoff: 1 } });

async function run(args: string[], server: HubServer, token: string) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-q",
      "--no-check",
      "-A",
      "tests/hub/fetch_process.ts",
      "push",
      server.url,
      ...args,
    ],
    env: { HF_TOKEN: token, NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("a folder is pushed whole, as one commit, into a repository that is made", () =>
  inFolder(async (folder, server) => {
    const pushed = await push(folder, server, "owner/new");
    assertEquals(pushed.made, true);
    assertEquals(pushed.files, await filesToPush(folder));
    assertEquals(pushed.url, `${server.url}/owner/new`);
    assertEquals(Object.fromEntries([...server.pushed].sort()), files);
    assert(server.repositories.some(({ id, gated }) => id === "owner/new" && gated));
    assertEquals(server.log.filter(({ path }) => path.includes("/commit/")).length, 1);
    // The storage's origin does not get the token.
    for (const { origin, authorization } of server.log) {
      assertEquals(authorization, origin === "hub" ? `Bearer ${TOKEN}` : null);
    }
    assertEquals((await push(folder, server, "owner/there")).made, false);
  }));

Deno.test("large files go by the Xet protocol where the Hub offers it, with its own token", () =>
  inFolder(async (folder, server) => {
    server.xet = true;
    // Bytes that do not repeat: one that repeats is sent once.
    await Deno.writeFile(`${folder}/adapter_model.safetensors`, someBytes(2_000_000));
    await push(folder, server, "owner/new");
    assertEquals([...server.pushed.keys()].sort(), Object.keys(files));
    assert(server.xetBytes > 2_000_000, `${server.xetBytes} bytes`);
    for (const { origin, authorization, path } of server.log) {
      const token = origin === "hub" ? TOKEN : XET_TOKEN;
      assertEquals(authorization, `Bearer ${token}`, path);
    }
  }));

Deno.test("where a part cannot be sent, nothing is pushed", () =>
  inFolder(async (folder, server) => {
    server.fault = ({ origin }) =>
      origin === "storage" ? new Response(null, { status: 500 }) : null;
    await assertRejects(
      () => push(folder, server, "owner/new"),
      HubError,
      "Cannot push to owner/new",
    );
    assertEquals(server.pushed.size, 0);
    // Busy for a while: the same requests again.
    let busy = 0;
    server.fault = ({ path }) =>
      /preupload|batch|upload|commit/.test(path) && busy++ % 2 === 0
        ? new Response(null, { status: 503 })
        : null;
    await push(folder, server, "owner/new");
    assertEquals(server.pushed.size, 4);
  }));

Deno.test("a push without a token that may write is refused", () =>
  inFolder(async (folder, server) => {
    await assertRejects(
      () => push(folder, server, "owner/new", null),
      HubError,
      "Cannot push to owner/new: no token; put one that may write",
    );
    assertEquals(server.log, []);
    const error = await assertRejects(
      () => push(folder, server, "owner/new", POOR_TOKEN),
      HubError,
      "Cannot push to owner/new: the token in HF_TOKEN does not allow this",
    );
    assert(!error.message.includes(POOR_TOKEN));
    await assertRejects(() => push(folder, server, "new"), TypeError, "as owner/new");
    await Deno.remove(`${folder}/README.md`);
    await assertRejects(() => push(folder, server, "owner/new"), RangeError, "it has no README.md");
    await assertRejects(() => filesToPush(`${folder}/none`), Error, "no such file or folder");
    assertEquals(server.pushed.size, 0);
  }));

Deno.test("--dry-run lists files and sizes, and asks nothing", () =>
  inFolder(async (folder, server) => {
    assertEquals(await run([folder, "owner/new", "--dry-run"], server, ""), {
      code: 0,
      out: `README.md                    9 B
adapter_config.json          3 B
adapter_model.safetensors  11 MB
head/notes & figures.txt     3 B
4 files                    11 MB
Would be sent to owner/new; --dry-run sends nothing
`,
      err: "",
    });
    assertEquals(server.log, []);
    const sent = await run([folder, "owner/new"], server, TOKEN);
    assertEquals([sent.code, sent.err, server.pushed.size], [0, "", 4]);
    assert(!(sent.out + sent.err).includes(TOKEN));
    const unknown = await run([folder, "owner/new", "--public"], server, TOKEN);
    assertEquals([unknown.code, unknown.out], [1, ""]);
  }));
