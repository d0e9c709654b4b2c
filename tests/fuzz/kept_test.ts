/** Damaged files that the project keeps for itself: checkpoints, and marks of fetched snapshots. */

import { findSnapshot, markComplete, snapshotFolder } from "../../lib/hub/snapshot.ts";
import { encodeCheckpoint, readCheckpoint } from "../../lib/train/checkpoint.ts";
import { type Bytes, folderFor, fuzz, must } from "./check_reader.ts";
import { mutateBytes, mutateJson } from "./mutations.ts";

const dir = folderFor("kept");

const pieces = encodeCheckpoint({
  step: 3,
  epoch: 1,
  batch: 1,
  trainSeconds: 0.5,
  seconds: 1,
  outcomes: [{ epoch: 1, losses: [0.5, 0.25], scores: [[0.1, 0.9], [0.8, 0.2]] }],
  losses: [0.125],
  variables: new Map([["a", { shape: [2], data: Float32Array.of(1, 2) }]]),
  kept: new Map([["a", { shape: [2], data: Float32Array.of(3, 4) }]]),
}, { cell: "0123" });
const checkpoint = new Uint8Array(await new Blob(pieces).arrayBuffer()) as Bytes;
fuzz({
  name: "checkpoint",
  seeds: [checkpoint],
  mutate: mutateBytes,
  read: async (bytes) => {
    const path = `${dir}/checkpoint.safetensors`;
    Deno.writeFileSync(path, bytes);
    const { checkpoint: { step, losses, variables } } = await readCheckpoint(path);
    // Whatever is read is what was written: a digest stands over all of it.
    const values = variables.get("a")?.data.join();
    must(step === 3 && losses.join() === "0.125" && values === "1,2", "another state");
  },
});

const repository = { kind: "model", id: "some/base" } as const;
const commit = "0123456789abcdef0123456789abcdef01234567";
const folder = snapshotFolder(dir, repository, commit);
await Deno.mkdir(folder, { recursive: true });
await Deno.writeTextFile(`${folder}/config.json`, "{}");
await markComplete(folder, {
  ...repository,
  commit,
  files: [{ path: "config.json", size: 2, digest: "0".repeat(40) }],
});
const marker = `${folder}/.complete.json`;
fuzz({
  name: "mark of a snapshot",
  seeds: [await Deno.readFile(marker)],
  mutate: mutateJson,
  read: async (bytes) => {
    Deno.writeFileSync(marker, bytes);
    const found = await findSnapshot(repository, commit, dir);
    must(found === null || found === folder, "another folder");
  },
});
