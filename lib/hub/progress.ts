import { ProgressBar } from "@std/cli/unstable-progress-bar";
import { bytesText } from "../formats/bytes_text.ts";
import type { FetchReporter } from "./fetch_snapshot.ts";
import type { RemoteFile } from "./verify.ts";

/** A {@linkcode FetchReporter} that is told when no more comes. */
export interface ClosingReporter extends FetchReporter {
  /** Takes the bar away. */
  close(): Promise<void>;
}

/** What is fetched, in one line. */
function startLine(files: readonly RemoteFile[], folder: string): string {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return `${files.length} files, ${bytesText(bytes)}, into ${folder}`;
}

/** Tells of every finished file in one line. */
export function quietReporter(print: (line: string) => void): ClosingReporter {
  return {
    start: ({ files }, folder) => print(startLine(files, folder)),
    bytes() {},
    done: ({ path, size }) => print(`  ${path}  ${bytesText(size)}`),
    close: () => Promise.resolve(),
  };
}

/**
 * Shows the bytes of all files as a progress bar.
 *
 * @param writable The terminal.
 */
export function terminalReporter(
  writable: WritableStream<Uint8Array>,
  print: (line: string) => void,
): ClosingReporter {
  let bar: ProgressBar | null = null;
  let path = "";
  const here = new Map<string, number>();
  return {
    start({ files }, folder) {
      print(startLine(files, folder));
      bar = new ProgressBar({
        writable,
        max: Math.max(1, files.reduce((sum, { size }) => sum + size, 0)),
        barLength: 20,
        clear: true,
        keepOpen: true,
        formatter: ({ progressBar, value, max }) =>
          `[${progressBar}] ${bytesText(value)} of ${bytesText(max)}  ${path}`.slice(0, 79),
      });
    },
    bytes(file, bytes) {
      path = file.path;
      here.set(path, bytes);
      if (bar !== null) bar.value = [...here.values()].reduce((sum, one) => sum + one, 0);
    },
    done() {},
    async close() {
      await bar?.stop();
      bar = null;
    },
  };
}
