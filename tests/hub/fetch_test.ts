import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { type Fetched, fetchSnapshot } from "../../lib/hub/fetch_snapshot.ts";
import { HubError } from "../../lib/hub/hub_error.ts";
import type { RepositoryKind } from "../../lib/hub/repository.ts";
import { findSnapshot, snapshotFolder } from "../../lib/hub/snapshot.ts";
import {
  COMMIT,
  cut,
  digestOf,
  type Held,
  HubServer,
  POOR_TOKEN,
  someBytes,
  textFile,
  TOKEN,
} from "./hub_server.ts";

const SIZE = 200_000;
const weights = { path: "model.safetensors", bytes: someBytes(SIZE), lfs: true };
const model: Held = {
  id: "owner/base",
  kind: "model",
  files: [
    textFile("README.md", "# A base"),
    textFile("config.json", "{}"),
    weights,
    { path: "pytorch_model.bin", bytes: someBytes(100, 2), lfs: true },
    textFile("tokenizer.json", '{"a": "b"}'),
    textFile("tokenizer_config.json", "{}"),
    { path: "onnx/model.onnx", bytes: someBytes(100, 3), lfs: true },
  ],
};
const FETCHED = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];

const data: Held = {
  id: "owner/data",
  kind: "dataset",
  files: [
    textFile("README.md", "# Data"),
    textFile("loader.py", "import os"),
    { path: "data/train-00000-of-00001.parquet", bytes: someBytes(3000, 4), lfs: true },
    textFile("data/test.tsv", "sentence\tlabel\na\t0\n"),
  ],
};

interface Place {
  readonly server: HubServer;
  readonly cache: string;
  fetch(options?: {
    id?: string;
    kind?: RepositoryKind;
    revision?: string;
    token?: string | null;
    to?: string;
    patience?: number;
  }): Promise<Fetched>;
  /** What lies in the snapshot's folder, except the lock. */
  names(): Promise<string[]>;
  /** Everything that has a file's own name is that file, and a mark stands on what is whole alone. */
  assertNothingHalf(held?: Held): Promise<void>;
}

async function namesIn(folder: string, below = ""): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(`${folder}/${below}`)) {
      if (isDirectory) names.push(...await namesIn(folder, `${below}${name}/`));
      else if (name !== ".lock") names.push(`${below}${name}`);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}

function hubTest(name: string, fn: (place: Place) => Promise<void>, ...held: Held[]): void {
  Deno.test(name, async () => {
    const cache = await Deno.makeTempDir();
    const server = new HubServer(...held.length > 0 ? held : [model, data]);
    try {
      await fn({
        server,
        cache,
        fetch: (
          { id = model.id, kind = "model", revision = "main", token = null, ...rest } = {},
        ) => {
          const { to, patience } = rest;
          return fetchSnapshot({
            repository: { id, kind },
            revision,
            access: { url: server.url, token, backoff: 1, patience },
            cache,
            to,
          });
        },
        names: () => namesIn(snapshotFolder(cache, model, COMMIT)),
        assertNothingHalf: async (held = server.repositories[0]) => {
          const folder = snapshotFolder(cache, held, COMMIT);
          const names = await namesIn(folder);
          for (const name of names.filter((name) => !/\.(part|etag)$|^\./.test(name))) {
            const { bytes } = held.files.find(({ path }) => path === name)!;
            assertEquals(await Deno.readFile(`${folder}/${name}`), bytes, name);
          }
          const whole = FETCHED.every((name) => names.includes(name));
          for (const revision of ["main", COMMIT]) {
            if (whole) continue;
            assertEquals(await findSnapshot(held, revision, cache), null);
          }
          assert(whole || !names.includes(".complete.json"), "marked, and not whole");
        },
      });
    } finally {
      await server[Symbol.asyncDispose]();
      await Deno.remove(cache, { recursive: true });
    }
  });
}

const isWeights = ({ origin }: { origin: string }) => origin === "storage";

hubTest(
  "a base: safetensors, configuration and tokenizer alone, found by branch and commit",
  async (place) => {
    const { folder, snapshot, kept } = await place.fetch();
    assertEquals([kept, snapshot.commit], [false, COMMIT]);
    assertEquals(await place.names(), [".complete.json", ...FETCHED]);
    await place.assertNothingHalf();
    for (const revision of ["main", COMMIT]) {
      assertEquals(await findSnapshot(model, revision, place.cache), folder);
    }
    assertEquals(await findSnapshot(model, "v1.0", place.cache), null);
    assertEquals(await findSnapshot({ ...model, kind: "dataset" }, "main", place.cache), null);
    // By its commit nothing is asked again; by a branch, what it stands for alone.
    const asked = place.server.log.length;
    assertEquals((await place.fetch({ revision: COMMIT })).kept, true);
    assertEquals(place.server.log.length, asked);
    assertEquals((await place.fetch()).kept, true);
    assertEquals(place.server.log.length, asked + 1);
  },
);

hubTest("a data set: Parquet, TSV and CSV with the card, in its folders", async (place) => {
  const { folder } = await place.fetch({ id: data.id, kind: "dataset" });
  assertEquals(await namesIn(folder), [
    ".complete.json",
    "README.md",
    "data/test.tsv",
    "data/train-00000-of-00001.parquet",
  ]);
  assertEquals(folder, `${place.cache}/datasets/owner/data/${COMMIT}`);
});

hubTest("into a folder of one's own, where other files stay", async (place) => {
  const to = `${place.cache}/own`;
  await Deno.mkdir(to);
  await Deno.writeTextFile(`${to}/notes.txt`, "mine");
  await Deno.writeTextFile(`${to}/config.json`, "of another base");
  assertEquals((await place.fetch({ to })).folder, to);
  assertEquals(await namesIn(to), [".complete.json", ...FETCHED, "notes.txt"].sort());
  assertEquals(await Deno.readTextFile(`${to}/config.json`), "{}");
  assertEquals((await place.fetch({ to })).kept, true);
});

hubTest("a file that was changed here is fetched anew, and no other", async (place) => {
  const { folder } = await place.fetch();
  await Deno.truncate(`${folder}/model.safetensors`, 100);
  assertEquals(await findSnapshot(model, "main", place.cache), null);
  place.server.log.length = 0;
  assertEquals((await place.fetch()).kept, false);
  await place.assertNothingHalf();
  assertEquals(place.server.downloads("model.safetensors").length, 1);
  assertEquals(place.server.downloads("tokenizer.json").length, 0);
});

hubTest("a cut connection is gone on with by a range request", async (place) => {
  let cuts = 0;
  place.server.fault = (asked) => {
    if (!isWeights(asked) || cuts === 3) return null;
    // At the start, in the middle of a range, and before the first byte of one.
    const [from, bytes] = [[0, 50_000], [50_000, 20_000], [70_000, 0]][cuts++];
    const rest = weights.bytes.subarray(from);
    if (from === 0) return cut(rest, bytes);
    const range = cut(rest, bytes, { "Content-Range": `bytes ${from}-${SIZE - 1}/${SIZE}` });
    return new Response(range.body, { status: 206, headers: range.headers });
  };
  await place.fetch();
  await place.assertNothingHalf();
  assertEquals(place.server.downloads("model.safetensors").map(({ range }) => range), [
    null,
    "bytes=50000-",
    "bytes=70000-",
    "bytes=70000-",
  ]);
});

hubTest("cut again and again, it ends; what came is kept and gone on with", async (place) => {
  place.server.fault = (asked) => {
    if (!isWeights(asked)) return null;
    if (asked.range === null) return cut(weights.bytes, 60_000);
    const range = cut(weights.bytes.subarray(60_000), 0, {
      "Content-Range": `bytes 60000-${SIZE - 1}/${SIZE}`,
    });
    return new Response(range.body, { status: 206, headers: range.headers });
  };
  const error = await assertRejects(
    () => place.fetch(),
    HubError,
    "Cannot fetch model.safetensors",
  );
  assertMatch(error.message, /, 6 times; start again: what has come is kept$/);
  await place.assertNothingHalf();
  assertEquals(await place.names(), [
    "config.json",
    "model.safetensors.part",
    "model.safetensors.part.etag",
  ]);
  place.server.fault = null;
  place.server.log.length = 0;
  await place.fetch();
  await place.assertNothingHalf();
  assertEquals(place.server.downloads("model.safetensors").map(({ range }) => range), [
    "bytes=60000-",
  ]);
});

hubTest("cut at the same place without ranges, it ends, too", async (place) => {
  place.server.fault = (asked) => isWeights(asked) ? cut(weights.bytes, 60_000) : null;
  await assertRejects(() => place.fetch(), HubError, ", 6 times; start again");
  await place.assertNothingHalf();
});

hubTest("an answer that ends early without a length is not taken for whole", async (place) => {
  place.server.fault = (asked) => {
    if (!isWeights(asked) || asked.range !== null) return null;
    return new Response(new Blob([weights.bytes.subarray(0, 1000)]).stream());
  };
  await place.fetch();
  await place.assertNothingHalf();
  assertEquals(place.server.downloads("model.safetensors").map(({ range }) => range), [
    null,
    "bytes=1000-",
  ]);
});

hubTest("where no ranges are given, it starts over", async (place) => {
  let first = true;
  place.server.fault = (asked) => {
    if (!isWeights(asked)) return null;
    if (!first) return new Response(weights.bytes);
    first = false;
    return cut(weights.bytes, 50_000);
  };
  await place.fetch();
  await place.assertNothingHalf();
});

hubTest("a range that is not the one asked for is not taken", async (place) => {
  let answers = 0;
  place.server.fault = (asked) => {
    if (!isWeights(asked)) return null;
    answers++;
    if (answers === 1) return cut(weights.bytes, 50_000);
    if (answers > 2) return null;
    return new Response(weights.bytes.subarray(40_000), {
      status: 206,
      headers: { "Content-Range": `bytes 40000-${SIZE - 1}/${SIZE}` },
    });
  };
  await place.fetch();
  await place.assertNothingHalf();
  assertEquals(answers, 3);
});

hubTest("a part of other bytes is not gone on with", async (place) => {
  const folder = snapshotFolder(place.cache, model, COMMIT);
  await Deno.mkdir(folder, { recursive: true });
  const part = `${folder}/model.safetensors.part`;
  for (const note of [null, "another etag"]) {
    await Deno.writeFile(part, someBytes(5000, 9));
    if (note !== null) await Deno.writeTextFile(`${part}.etag`, note);
    place.server.log.length = 0;
    await place.fetch();
    await place.assertNothingHalf();
    assertEquals(place.server.downloads("model.safetensors").map(({ range }) => range), [null]);
    await Deno.remove(folder, { recursive: true });
    await Deno.mkdir(folder);
  }
});

hubTest("a wrong digest is an error, and what came is deleted", async (place) => {
  const wrong = weights.bytes.slice();
  wrong[SIZE - 1] ^= 1;
  place.server.fault = (asked) => isWeights(asked) ? new Response(wrong) : null;
  await assertRejects(
    () => place.fetch(),
    HubError,
    `Cannot fetch model.safetensors: its digest must be ${digestOf(weights)}, found `,
  );
  await place.assertNothingHalf();
  assertEquals(await place.names(), ["config.json"]);
  // Of a small file, too: Git's digest of it.
  place.server.fault = ({ path }) =>
    path.endsWith("/blob/" + COMMIT + "/tokenizer.json") ? new Response('{"a": "c"}') : null;
  await assertRejects(() => place.fetch(), HubError, "Cannot fetch tokenizer.json: its digest");
  await place.assertNothingHalf();
  place.server.fault = null;
  await place.fetch();
  await place.assertNothingHalf();
});

hubTest("a part that was damaged on the disk is found out by the digest", async (place) => {
  const folder = snapshotFolder(place.cache, model, COMMIT);
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(`${folder}/model.safetensors.part`, someBytes(5000, 9));
  await Deno.writeTextFile(`${folder}/model.safetensors.part.etag`, digestOf(weights));
  await assertRejects(() => place.fetch(), HubError, "Cannot fetch model.safetensors: its digest");
  await place.assertNothingHalf();
  await place.fetch();
  await place.assertNothingHalf();
});

hubTest("a wrong size is an error, with and without a length", async (place) => {
  const longer = someBytes(SIZE + 1);
  const answers = [
    () => new Response(weights.bytes.subarray(1)),
    () => new Response(longer),
    () => new Response(new Blob([longer]).stream()),
  ];
  for (const answer of answers) {
    place.server.fault = (asked) => isWeights(asked) ? answer() : null;
    await assertRejects(
      () => place.fetch(),
      HubError,
      `Cannot fetch model.safetensors: its size must be ${SIZE} bytes, found `,
    );
    await place.assertNothingHalf();
    assertEquals(await place.names(), ["config.json"]);
  }
});

hubTest("too many requests: as long as Retry-After says, then again", async (place) => {
  const refused = new Map<string, number>();
  place.server.fault = ({ origin, path }) => {
    const count = (refused.get(origin + path) ?? 0) + 1;
    refused.set(origin + path, count);
    const isFirst = count === 1 && (path.includes("/revision/") || origin === "storage");
    return isFirst ? new Response(null, { status: 429, headers: { "Retry-After": "1" } }) : null;
  };
  const start = performance.now();
  await place.fetch();
  assert(performance.now() - start >= 2000, "it did not wait twice");
  await place.assertNothingHalf();
});

hubTest("a wait too long is told and not waited for", async (place) => {
  place.server.fault = () =>
    new Response(null, { status: 429, headers: { "Retry-After": "3600" } });
  await assertRejects(
    () => place.fetch(),
    HubError,
    "Cannot fetch owner/base: the Hub takes no more requests for now (Retry-After: 3600)",
  );
  await place.assertNothingHalf();
});

hubTest("a server's failure passes, or is told", async (place) => {
  let failures = 0;
  place.server.fault = (asked) =>
    isWeights(asked) && failures++ < 3 ? new Response(null, { status: 503 }) : null;
  await place.fetch();
  await place.assertNothingHalf();
  await Deno.remove(`${place.cache}/models`, { recursive: true });
  place.server.fault = (asked) => isWeights(asked) ? new Response(null, { status: 500 }) : null;
  await assertRejects(() => place.fetch(), HubError, "the Hub failed with status 500");
  await place.assertNothingHalf();
});

hubTest("a server that falls silent is asked again", async (place) => {
  let first = true;
  place.server.fault = (asked) => {
    if (!isWeights(asked) || !first) return null;
    first = false;
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(weights.bytes.subarray(0, 30_000)),
    });
    return new Response(body, { headers: { "Content-Length": String(SIZE) } });
  };
  await place.fetch({ patience: 200 });
  await place.assertNothingHalf();
  assertEquals(place.server.downloads("model.safetensors")[1].range, "bytes=30000-");
});

hubTest("an unknown id or revision is told from a refused token", async (place) => {
  const rejects = (options: Parameters<Place["fetch"]>[0], message: string) =>
    assertRejects(() => place.fetch(options), HubError, message);
  await rejects(
    { id: "owner/none" },
    "Cannot fetch owner/none: there is no such model, or it is private; check the id; " +
      "data sets are fetched with --data, or put a token that may read it into HF_TOKEN",
  );
  await rejects({ id: "owner/none", token: TOKEN }, "there is no such model; check the id");
  await rejects({ id: "owner/none", kind: "dataset", token: TOKEN }, "there is no such data set");
  await rejects({ revision: "v9" }, "Cannot fetch owner/base: it has no revision v9");
  await rejects({ token: "hf_wrong" }, "the Hub does not accept the token in HF_TOKEN");
  assertEquals(await namesIn(place.cache), []);
});

hubTest("a gated base needs a token, which the other origin never sees", async (place) => {
  await assertRejects(
    () => place.fetch(),
    HubError,
    "it is gated; accept its conditions at https://huggingface.co/owner/base and put a token",
  );
  await place.assertNothingHalf();
  const error = await assertRejects(
    () => place.fetch({ token: POOR_TOKEN }),
    HubError,
    "it is gated, and the token in HF_TOKEN may not read it",
  );
  assert(!error.message.includes(POOR_TOKEN));
  await place.assertNothingHalf();
  place.server.log.length = 0;
  await place.fetch({ token: TOKEN });
  await place.assertNothingHalf();
  const sent = (origin: string) =>
    new Set(
      place.server.log.filter((asked) => asked.origin === origin).map((asked) =>
        asked.authorization
      ),
    );
  assertEquals(sent("hub"), new Set([`Bearer ${TOKEN}`]));
  assertEquals(sent("storage"), new Set([null]));
  for (const name of await namesIn(place.cache)) {
    const text = new TextDecoder().decode(await Deno.readFile(`${place.cache}/${name}`));
    assert(!text.includes(TOKEN) && !text.includes("alsoSecret"), name);
  }
}, { ...model, gated: true });

hubTest("two at once: one does the work, the other finds it done", async (place) => {
  const [a, b] = await Promise.all([place.fetch(), place.fetch()]);
  assertEquals([a.kept, b.kept].sort(), [false, true]);
  assertEquals(place.server.downloads("model.safetensors").length, 1);
  await place.assertNothingHalf();
});

const onlyPickle = { ...model, files: model.files.filter(({ path }) => path !== weights.path) };
hubTest("pickled weights are refused, with what is there", async (place) => {
  await assertRejects(
    () => place.fetch(),
    RangeError,
    "its weights are pickled or the like (pytorch_model.bin), which can run code",
  );
  assertEquals(place.server.downloads("config.json").length, 0);
}, onlyPickle);

const leading = { ...data, files: [textFile("../../train.tsv", "sentence\tlabel\n")] };
hubTest("a listed path that leads elsewhere is refused", async (place) => {
  await assertRejects(
    () => place.fetch({ id: data.id, kind: "dataset" }),
    RangeError,
    'Cannot fetch "../../train.tsv": the Hub lists a path that leads elsewhere',
  );
  assertEquals(await namesIn(place.cache), []);
}, leading);

hubTest(
  "ids and revisions that lead elsewhere are refused before anything is asked",
  async (place) => {
    for (const id of ["../a", "a/../b", "a/b/c", "/a/b", "", "a b/c", ".a/b"]) {
      await assertRejects(() => place.fetch({ id }), TypeError, "an id of the Hub is owner/name");
    }
    for (const revision of ["", "../x", "a/../../b", "a b"]) {
      await assertRejects(() => place.fetch({ revision }), TypeError, "name a branch, a tag or");
    }
    assertEquals(place.server.log, []);
  },
);

const decoder = new TextDecoder();

function start(place: Place, args: string[], env: Record<string, string> = {}) {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-q",
      "--no-check",
      "-A",
      "tests/hub/fetch_process.ts",
      "fetch",
      place.server.url,
      ...args,
    ],
    env: { HF_TOKEN: "", NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

hubTest("a full disk is told, and what lies there is not taken for whole", async (place) => {
  const to = `${place.cache}/own`;
  await Deno.mkdir(to);
  // Writing there always fails for want of space.
  await Deno.symlink("/dev/full", `${to}/model.safetensors.part`);
  await Deno.writeTextFile(`${to}/model.safetensors.part.etag`, digestOf(weights));
  const { code, stderr } = await start(place, [model.id, "--to", to]).output();
  assertEquals([code, decoder.decode(stderr)], [
    1,
    `error: Cannot write ${to}/model.safetensors: the disk is full\n`,
  ]);
  assertEquals(await namesIn(to), [
    "config.json",
    "model.safetensors.part",
    "model.safetensors.part.etag",
  ]);
});

hubTest("a process that is killed leaves nothing half, and the next one goes on", async (place) => {
  const to = `${place.cache}/own`;
  place.server.fault = (asked) => {
    if (!isWeights(asked)) return null;
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(weights.bytes.subarray(0, 120_000)),
    });
    return new Response(body, { headers: { "Content-Length": String(SIZE) } });
  };
  const killed = start(place, [model.id, "--to", to]);
  const part = `${to}/model.safetensors.part`;
  const size = () => Deno.stat(part).then(({ size }) => size, () => 0);
  const deadline = Date.now() + 30_000;
  while (await size() < 120_000) {
    assert(Date.now() < deadline, "no part came");
    await new Promise((done) => setTimeout(done, 20));
  }
  killed.kill("SIGKILL");
  assertEquals((await killed.output()).signal, "SIGKILL");
  assertEquals(await namesIn(to), [
    "config.json",
    "model.safetensors.part",
    "model.safetensors.part.etag",
  ]);
  place.server.fault = null;
  place.server.log.length = 0;
  const { code, stdout, stderr } = await start(place, [model.id, "--to", to]).output();
  assertEquals([code, decoder.decode(stderr)], [0, ""]);
  assertStringIncludes(decoder.decode(stdout), `owner/base at ${COMMIT}: complete, 200 KB\n`);
  assertEquals(place.server.downloads("model.safetensors").map(({ range }) => range), [
    "bytes=120000-",
  ]);
  assertEquals(await namesIn(to), [".complete.json", ...FETCHED]);
  assertEquals(await Deno.readFile(`${to}/model.safetensors`), weights.bytes);
});

hubTest("the token never stands in what is printed, whatever the server answers", async (place) => {
  const to = `${place.cache}/own`;
  const told: string[] = [];
  const run = async (token: string) => {
    const { code, stdout, stderr } = await start(place, [model.id, "--to", to], {
      HF_TOKEN: token,
    }).output();
    told.push(decoder.decode(stdout) + decoder.decode(stderr));
    return code;
  };
  assertEquals(await run("hf_wrong"), 1);
  assertEquals(await run(POOR_TOKEN), 1);
  // A server that makes the token part of an address.
  place.server.fault = ({ path, authorization }) =>
    path.includes("/revision/")
      ? new Response(null, {
        status: 302,
        headers: { Location: `ftp://${authorization?.slice(7)}/` },
      })
      : null;
  assertEquals(await run(TOKEN), 1);
  place.server.fault = null;
  assertEquals(await run(TOKEN), 0);
  for (const text of told) {
    for (const token of ["hf_wrong", POOR_TOKEN, TOKEN]) {
      assert(!text.toLowerCase().includes(token.toLowerCase()), text);
    }
  }
  assertMatch(
    told[0],
    /^error: Cannot fetch owner\/base: the Hub does not accept the token in HF_TOKEN/,
  );
  assertMatch(told[1], /\nerror: Cannot fetch owner\/base, config.json: it is gated, and/);
}, { ...model, gated: true });
