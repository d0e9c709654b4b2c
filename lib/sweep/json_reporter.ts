import type { CellPlace, SweepReporter } from "./runner.ts";

/** One line of JSON about something that happened, as `--log-format json` prints it. */
export function jsonLine(event: string, facts: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ event, ...facts });
}

/** Tells of everything in lines of JSON: `cell`, `step`, `epoch`, and `done`, `failed` or so. */
export function jsonReporter(print: (line: string) => void): SweepReporter {
  const facts = ({ number, approach, seed }: CellPlace) => ({ cell: number, approach, seed });
  return {
    start(place) {
      print(jsonLine("cell", { ...facts(place), cells: place.count }));
    },
    step(progress, place) {
      print(jsonLine("step", { ...facts(place), ...progress }));
    },
    epoch(metrics, place) {
      print(jsonLine("epoch", { ...facts(place), ...metrics }));
    },
    note(text, place) {
      print(jsonLine("note", { ...place && facts(place), text }));
    },
    end(place, outcome) {
      const told = outcome.kind === "done"
        ? { best: outcome.result.best, last: outcome.result.last, times: outcome.result.times }
        : outcome.kind === "failed"
        ? { message: outcome.message }
        : outcome.kind === "paused"
        ? { last: outcome.epoch, epochs: outcome.epochs }
        : {};
      print(jsonLine(outcome.kind, { ...facts(place), ...told }));
      return Promise.resolve();
    },
  };
}
