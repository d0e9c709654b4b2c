import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  duration,
  outcomeLine,
  placesText,
  statusText,
  terminalReporter,
} from "../../lib/sweep/progress.ts";
import { classificationMetrics } from "../../lib/train/metrics.ts";

const place = { number: 2, count: 9, approach: "LoRA, rank 8", seed: 1 };
const progress = { epoch: 2, epochs: 3, step: 50, steps: 100, loss: 0.51234, stepsPerSecond: 2 };
const metrics = {
  epoch: 1,
  trainLoss: 0.6,
  evalLoss: 0.6,
  ...classificationMetrics([0, 1], [0, 0], 2),
  accuracy: 0.634,
};

Deno.test("duration() is short", () => {
  const cases: [number, string][] = [
    [0, "0.0 s"],
    [59.94, "59.9 s"],
    [59.96, "1m 00s"],
    [245.4, "4m 05s"],
    [3599.6, "1h 00m"],
    [7620, "2h 07m"],
  ];
  for (const [seconds, text] of cases) assertEquals(duration(seconds), text);
});

Deno.test("statusText() tells epoch, loss, accuracy, speed and time left", () => {
  assertEquals(statusText(null, []), "starting");
  assertEquals(
    statusText(progress, [metrics]),
    "epoch 2/3  loss 0.512  acc 63.4 %  2.0 steps/s  25.0 s left",
  );
  assertEquals(statusText({ ...progress, stepsPerSecond: 0 }, []), "epoch 2/3  loss 0.512");
});

Deno.test("outcomeLine() tells of what was done or failed", () => {
  const failed = outcomeLine(place, { kind: "failed", message: "Cannot go on" });
  assertEquals(failed, "[2/9] LoRA, rank 8, seed 1: failed: Cannot go on");
  assertEquals(outcomeLine(place, { kind: "skipped" }), null);
  assertEquals(outcomeLine(place, { kind: "interrupted" }), null);
});

Deno.test("terminalReporter() draws a bar within the terminal's width and clears it", async () => {
  const written: string[] = [];
  const printed: string[] = [];
  let width = 120;
  const writable = new WritableStream<Uint8Array>({
    write: (chunk) => void written.push(new TextDecoder().decode(chunk)),
  });
  const reporter = terminalReporter(writable, (line) => printed.push(line), () => width);
  reporter.start(place);
  reporter.step(progress, place);
  reporter.epoch(metrics, place);
  await new Promise((resolve) => setTimeout(resolve, 1100)); // Bars are redrawn once a second.
  await reporter.end(place, { kind: "failed", message: "Cannot go on" });
  const text = written.join("");
  assertStringIncludes(text, "[2/9] LoRA, rank 8, seed 1 [--------------------] starting");
  assertStringIncludes(text, "seed 1 [##########----------] epoch 2/3  loss 0.512  acc 63.4 %");
  assertEquals(printed, ["[2/9] LoRA, rank 8, seed 1: failed: Cannot go on"]);

  written.length = 0;
  width = 40;
  reporter.start({ ...place, number: 3 }); // The stream is free for the next bar.
  await reporter.end(place, { kind: "interrupted" });
  assertEquals(printed.length, 1);
  // Too narrow for a bar, and no line may be longer than the terminal.
  assertStringIncludes(written.join(""), "[3/9] LoRA, rank 8, seed 1  starting");
  // deno-lint-ignore no-control-regex
  for (const line of written.join("").split(/\r\x1b\[K/)) assertEquals(line.length < 40, true);
});

Deno.test("terminalReporter() shows cells that share a program in one bar, and tells all ends", async () => {
  const [written, printed]: string[][] = [[], []];
  const writable = new WritableStream<Uint8Array>({
    write: (chunk) => void written.push(new TextDecoder().decode(chunk)),
  });
  const reporter = terminalReporter(writable, (line) => printed.push(line), () => 160);
  const places = [4, 5, 6].map((number) => ({
    ...{ number, count: 9, seed: 1 },
    approach: number < 6 ? "LoRA, rank 8" : "IA3",
  }));
  for (const one of places) reporter.start(one);
  for (const one of places) {
    reporter.step(progress, one);
    reporter.epoch({ ...metrics, accuracy: 0.6 + one.number / 100 }, one);
  }
  await new Promise((resolve) => setTimeout(resolve, 1100)); // Bars are redrawn once a second.
  for (const one of places) {
    assertEquals(printed, []); // In the line of a bar they would be lost.
    await reporter.end(one, { kind: "failed", message: "Cannot go on" });
  }
  assertStringIncludes(
    written.join(""),
    "[4–6/9] 3 cells in one program: LoRA, rank 8, IA3 [##########----------] " +
      "epoch 2/3  best acc 66.0 %  2.0 steps/s",
  );
  assertEquals(printed.length, 3);
  assertEquals(placesText([places[0], places[2]]).split("]")[0], "[4,6/9");
});
