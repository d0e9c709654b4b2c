import { ProgressBar } from "@std/cli/unstable-progress-bar";
import type { CellResult, EpochMetrics, StepProgress } from "./run_cell.ts";
import type { CellPlace, Outcome, SweepReporter } from "./runner.ts";

/** Percent with one decimal, for people. */
export function percent(share: number): string {
  return (share * 100).toFixed(1);
}

/** Seconds as people say them: `12.3 s`, `4m 05s`, `2h 07m`. */
export function duration(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h ${two((whole % 3600) / 60)}m`;
}

/** A cell's place in words. */
export function placeText({ number, count, approach, seed }: CellPlace): string {
  return `[${number}/${count}] ${approach}, seed ${seed}`;
}

/** The places of cells that share a program, in words. */
export function placesText(places: readonly CellPlace[]): string {
  if (places.length === 1) return placeText(places[0]);
  const { count } = places[0];
  const numbers = places.map(({ number }) => number);
  const [first, last] = [Math.min(...numbers), Math.max(...numbers)];
  const through = last - first + 1 === numbers.length ? `${first}–${last}` : numbers.join(",");
  const approaches = [...new Set(places.map(({ approach }) => approach))];
  return `[${through}/${count}] ${places.length} cells in one program: ${approaches.join(", ")}`;
}

/** One line about a cell that has a result. */
export function resultLine(
  place: CellPlace,
  { best, last, times }: Pick<CellResult, "best" | "last" | "times">,
): string {
  const epochs = last.epoch > 1 ? ` (best epoch ${percent(best.accuracy)} %)` : "";
  return `${placeText(place)}: accuracy ${percent(last.accuracy)} %${epochs}, ${
    duration(times.seconds)
  }`;
}

/** One line about a cell that has ended; null where there is nothing to tell. */
export function outcomeLine(place: CellPlace, outcome: Outcome): string | null {
  const name = placeText(place);
  switch (outcome.kind) {
    case "done":
      return resultLine(place, outcome.result);
    case "paused": {
      const { epoch: { epoch, accuracy }, epochs } = outcome;
      return `${name}: accuracy ${percent(accuracy)} % after epoch ${epoch} of ${epochs}`;
    }
    case "failed":
      return `${name}: failed: ${outcome.message}`;
    case "skipped":
    case "interrupted":
      return null;
  }
}

/**
 * The text beside the bar: what is known so far of the running cell, or of cells in one program.
 *
 * @param latest The latest epoch of each.
 */
export function statusText(
  progress: StepProgress | null,
  latest: readonly EpochMetrics[],
  cells = 1,
): string {
  if (progress === null) return "starting";
  const { epochs, step, steps, loss, stepsPerSecond } = progress;
  const parts = [`epoch ${progress.epoch}/${epochs}`];
  if (cells === 1) parts.push(`loss ${loss.toFixed(3)}`);
  if (latest.length > 0) {
    const accuracy = Math.max(...latest.map((epoch) => epoch.accuracy));
    parts.push(`${cells === 1 ? "" : "best "}acc ${percent(accuracy)} %`);
  }
  if (stepsPerSecond > 0) {
    parts.push(`${stepsPerSecond.toFixed(1)} steps/s`);
    parts.push(`${duration((steps - step) / stepsPerSecond)} left`);
  }
  return parts.join("  ");
}

/** Tells of every finished cell in one line, and of nothing else. */
export function quietReporter(print: (line: string) => void): SweepReporter {
  return {
    start() {},
    step() {},
    epoch() {},
    note: print,
    end(place, outcome) {
      const line = outcomeLine(place, outcome);
      if (line !== null) print(line);
      return Promise.resolve();
    },
  };
}

/**
 * Shows the running cell as a progress bar, and finished cells as lines above it.
 *
 * @param writable The terminal
 * @param columns The terminal's width now, in characters
 */
export function terminalReporter(
  writable: WritableStream<Uint8Array>,
  print: (line: string) => void,
  columns: () => number,
): SweepReporter {
  let bar: ProgressBar | null = null;
  let progress: StepProgress | null = null;
  const latest = new Map<number, EpochMetrics>();
  const notes: string[] = [];
  const running = new Set<CellPlace>();
  return {
    start(place) {
      running.add(place);
      if (bar !== null) return;
      progress = null;
      latest.clear();
      bar = new ProgressBar({
        writable,
        max: 1,
        barLength: 20,
        clear: true,
        keepOpen: true,
        formatter: ({ progressBar }) => {
          const [name, status] = [
            placesText([...running]),
            statusText(progress, [...latest.values()], running.size),
          ];
          // A line longer than the terminal would not be cleared whole; the figures matter most.
          const whole = `${name} [${progressBar}] ${status}`;
          const room = Math.max(columns() - 1, 20);
          return whole.length <= room ? whole : `${name}  ${status}`.slice(0, room);
        },
      });
    },
    step(now) {
      progress = now;
      if (bar !== null) [bar.max, bar.value] = [now.steps, now.step];
    },
    epoch(metrics, { number }) {
      latest.set(number, metrics);
    },
    note(text) {
      // In the line of a bar it would be lost.
      if (bar === null) print(text);
      else notes.push(text);
    },
    async end(place, outcome) {
      const line = outcomeLine(place, outcome);
      if (line !== null) notes.push(line);
      if (running.size > 1) return void running.delete(place);
      await bar?.stop();
      bar = null;
      running.clear();
      notes.splice(0).forEach(print);
    },
  };
}

/** The reporter that fits standard output: bars on a terminal, one line a cell elsewhere. */
export function standardReporter(): SweepReporter {
  const print = (line: string): void => console.log(line);
  if (!Deno.stdout.isTerminal()) return quietReporter(print);
  return terminalReporter(Deno.stdout.writable, print, () => {
    try {
      return Deno.consoleSize().columns || 80;
    } catch {
      return 80; // A terminal that does not tell its size.
    }
  });
}

/** Shows one line at the terminal's last row, in place of the one before; elsewhere nothing. */
export function terminalStatus(): (text: string | null) => void {
  if (!Deno.stdout.isTerminal()) return () => {};
  const encoder = new TextEncoder();
  return (text) => {
    let line = text ?? "";
    try {
      line = line.slice(0, Deno.consoleSize().columns - 1);
    } catch {
      // A terminal that does not tell its size.
    }
    Deno.stdout.writeSync(encoder.encode(`\r\x1b[2K${line}`));
  };
}
