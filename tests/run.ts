/**
 * Runs every check of the project, stage by stage, and ends in "N passed, N failed".
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };
import { readSummary, skippedTests } from "./test_output.ts";

const usage = `usage: ./tunegrid test [--all] [test files]

  --all   also the long tests
  With test files, those alone run, without the other stages.`;

const wanted = Deno.args.filter((arg) => !arg.startsWith("-"));
const flags = Deno.args.filter((arg) => arg.startsWith("-"));
if (flags.includes("--help")) {
  console.log(usage);
  Deno.exit(0);
}
const unknown = flags.find((flag) => flag !== "--all");
if (unknown !== undefined) {
  console.error(`error: Cannot use option ${unknown}: no such option; use --all or test files`);
  Deno.exit(2);
}
const env: Record<string, string> = { NO_COLOR: "1" };
if (flags.includes("--all")) env.TUNEGRID_ALL = "1";

/** ONNX Runtime in the project's own folder, so that FFI can be granted to it alone. */
const packages = ["--node-modules-dir=auto", "--lock=deno.onnx.lock"];

/** Runs Deno with its output shown and returned. */
async function deno(args: string[]): Promise<{ ok: boolean; text: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk, { stream: true });
    await Deno.stdout.write(chunk);
  }
  return { ok: (await child.status).success, text };
}

let passed = 0;
let failed = 0;
const outcomes: string[] = [];

async function stage(name: string, args: string[]): Promise<void> {
  console.log(`\n== ${name}`);
  const { ok } = await deno(args);
  outcomes.push(`${ok ? "ok    " : "FAILED"} ${name}`);
  if (!ok) failed++;
}

if (wanted.length === 0) {
  await stage("format", ["fmt", "--check"]);
  await stage("lint", ["lint", "-q"]);
  await stage("types", ["check", "-q"]);
  await stage("documentation", ["doc", "--lint", "-q", ...Object.values(config.exports)]);
  await stage("package", ["run", "-q", "--no-prompt", "-P=test", "tests/package.ts"]);
  await stage("examples", [
    "test",
    "--doc",
    ...packages,
    "-P=test",
    "-q",
    ...Object.values(config.exports),
    "lib",
  ]);
}

console.log("\n== tests");
// The types are a stage of their own; the GPU is one, so tests run one after the other.
const { ok, text } = await deno(["test", "--no-check", ...packages, "-P=test", "-q", ...wanted]);
const summary = readSummary(text);
passed += summary.passed;
failed += summary.failed;
if (!ok && summary.failed === 0) failed++; // It broke before it could count.
if (summary.passed + summary.failed === 0) {
  failed++;
  console.log("No test ran");
}
outcomes.push(
  `${ok && summary.passed > 0 ? "ok    " : "FAILED"} tests: ${summary.passed} passed, ` +
    `${summary.failed} failed, ${summary.ignored} skipped`,
);

const skipped = skippedTests(text);
if (skipped.length > 0) console.log(`\nSkipped:\n${skipped.map((name) => `  ${name}`).join("\n")}`);
console.log(`\n${outcomes.join("\n")}\n\n${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
