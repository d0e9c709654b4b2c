import { assertEquals, assertStringIncludes } from "@std/assert";
import { quietReporter, terminalReporter } from "../../lib/hub/progress.ts";
import type { Snapshot } from "../../lib/hub/snapshot.ts";
import { COMMIT } from "./hub_server.ts";

const config = { path: "config.json", size: 1000, digest: "" };
const weights = { path: "model.safetensors", size: 3_000_000, digest: "" };
const snapshot: Snapshot = {
  kind: "model",
  id: "owner/base",
  commit: COMMIT,
  files: [config, weights],
};

Deno.test("without a terminal, each whole file is a line", () => {
  const lines: string[] = [];
  const reporter = quietReporter((line) => lines.push(line));
  reporter.start(snapshot, "there");
  reporter.bytes(config, 500);
  reporter.done(config);
  reporter.done(weights);
  assertEquals(lines, [
    "2 files, 3 MB, into there",
    "  config.json  1 KB",
    "  model.safetensors  3 MB",
  ]);
});

Deno.test("on a terminal, a bar shows the bytes of all files, and goes", async () => {
  const decoder = new TextDecoder();
  const lines: string[] = [];
  let shown = "";
  const writable = new WritableStream<Uint8Array>({
    write: (bytes) => void (shown += decoder.decode(bytes)),
  });
  const reporter = terminalReporter(writable, (line) => lines.push(line));
  await reporter.close(); // Nothing was begun.
  reporter.start(snapshot, "there");
  reporter.bytes(config, 1000);
  reporter.done(config);
  reporter.bytes(weights, 1_500_000);
  // The bar draws itself once a second.
  const deadline = Date.now() + 5000;
  while (!shown.includes("1.5 MB") && Date.now() < deadline) {
    await new Promise((done) => setTimeout(done, 50));
  }
  await reporter.close();
  assertEquals(lines, ["2 files, 3 MB, into there"]);
  assertStringIncludes(shown, "1.5 MB of 3 MB  model.safetensors");
  assertEquals(shown.endsWith("\r\x1b[K"), true);
});
