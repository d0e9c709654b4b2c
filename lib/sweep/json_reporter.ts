import type { SweepReporter } from "./runner.ts";

/** One line of JSON about something that happened, as `--log-format json` prints it. */
export function jsonLine(event: string, facts: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ event, ...facts });
}

/** Tells of everything in lines of JSON: `cell`, `step`, `epoch`, and `done`, `failed` or so. */
export function jsonReporter(print: (line: string) => void): SweepReporter {
  let now: Readonly<Record<string, unknown>> = {};
  return {
    start({ number, count, approach, seed }) {
      now = { cell: number, approach, seed };
      print(jsonLine("cell", { ...now, cells: count }));
    },
    step(progress) {
      print(jsonLine("step", { ...now, ...progress }));
    },
    epoch(metrics) {
      print(jsonLine("epoch", { ...now, ...metrics }));
    },
    note(text) {
      print(jsonLine("note", { ...now, text }));
    },
    end(_, outcome) {
      const facts = outcome.kind === "done"
        ? { best: outcome.result.best, last: outcome.result.last, times: outcome.result.times }
        : outcome.kind === "failed"
        ? { message: outcome.message }
        : outcome.kind === "paused"
        ? { last: outcome.epoch, epochs: outcome.epochs }
        : {};
      print(jsonLine(outcome.kind, { ...now, ...facts }));
      return Promise.resolve();
    },
  };
}
