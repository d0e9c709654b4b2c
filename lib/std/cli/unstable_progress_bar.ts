/**
 * Offline stand-in for `@std/cli/unstable-progress-bar` as of 1.0.22.
 *
 * @module
 */

/** What a formatter may show. */
export interface ProgressBarFormatter {
  /** Time since the start, `mm:ss`. */
  styledTime: string;
  /** Value and maximum in binary units, `0.40/97.66 KiB`. */
  styledData: (fractions?: number) => string;
  /** The bar itself, `###-------`. */
  progressBar: string;
  /** Milliseconds since the start. */
  time: number;
  /** `time` of the update before. */
  previousTime: number;
  /** Current value. */
  value: number;
  /** `value` of the update before. */
  previousValue: number;
  /** Value at which the bar is full. */
  max: number;
}

/** Options of {@linkcode ProgressBar}. */
export interface ProgressBarOptions {
  /** Where the bar is written; `Deno.stderr.writable` by default. */
  writable?: WritableStream<Uint8Array>;
  /** First value, 0 by default. */
  value?: number;
  /** Value at which the bar is full. */
  max: number;
  /** Characters in the bar, 50 by default. */
  barLength?: number;
  /** Character of what is done, `#` by default. */
  fillChar?: string;
  /** Character of what is left, `-` by default. */
  emptyChar?: string;
  /** Whether the bar disappears when it stops. */
  clear?: boolean;
  /** Writes one line from the state of the bar. */
  formatter?: (formatter: ProgressBarFormatter) => string;
  /** Whether the stream stays open when the bar stops, true by default. */
  keepOpen?: boolean;
}

const CLEAR_LINE = "\r\x1b[K";
const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];

function binaryUnits(value: number, max: number): string {
  let unit = 0;
  while (unit < UNITS.length - 1 && max >= 1024 ** (unit + 2)) unit++;
  const scale = 1024 ** (unit + 1);
  return `${(value / scale).toFixed(2)}/${(max / scale).toFixed(2)} ${UNITS[unit]}`;
}

/** A line on a stream, rewritten every second, that shows how far `value` is from `max`. */
export class ProgressBar {
  /** Current value. */
  value: number;
  /** Value at which the bar is full. */
  max: number;

  #options: ProgressBarOptions;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #timer: ReturnType<typeof setInterval>;
  #start = Date.now();
  #previousTime = 0;
  #previousValue: number;

  /** @param options Where to write, how far to go and what to show. */
  constructor(options: ProgressBarOptions) {
    this.#options = options;
    this.value = options.value ?? 0;
    this.max = options.max;
    this.#previousValue = this.value;
    this.#writer = (options.writable ?? Deno.stderr.writable).getWriter();
    this.#writer.closed.catch(() => clearInterval(this.#timer));
    this.#timer = setInterval(() => this.#print(), 1000);
    this.#print();
  }

  #state(): ProgressBarFormatter {
    const { barLength = 50, fillChar = "#", emptyChar = "-" } = this.#options;
    const time = Date.now() - this.#start;
    const done = Math.trunc(Math.min(Math.max(this.value / this.max, 0), 1) * barLength);
    const twoDigits = (x: number) => String(Math.floor(x)).padStart(2, "0");
    return {
      styledTime: `${twoDigits(time / 60_000)}:${twoDigits(time / 1000 % 60)}`,
      styledData() {
        return binaryUnits(this.value, this.max);
      },
      progressBar: fillChar.repeat(done) + emptyChar.repeat(barLength - done),
      time,
      previousTime: this.#previousTime,
      value: this.value,
      previousValue: this.#previousValue,
      max: this.max,
    };
  }

  async #write(text: string): Promise<void> {
    try {
      await this.#writer.write(new TextEncoder().encode(text));
    } catch {
      // A reader that is gone must not stop the work that the bar reports.
    }
  }

  #print(): Promise<void> {
    const state = this.#state();
    const line = this.#options.formatter?.(state) ??
      `[${state.styledTime}] [${state.progressBar}] [${state.styledData()}]`;
    this.#previousTime = state.time;
    this.#previousValue = state.value;
    return this.#write(CLEAR_LINE + line);
  }

  /** Writes the last state, or clears the line, and lets go of the stream. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#options.clear) await this.#write(CLEAR_LINE);
    else {
      await this.#print();
      await this.#write("\n");
    }
    if (this.#options.keepOpen === false) await this.#writer.close().catch(() => {});
    else this.#writer.releaseLock();
  }
}
