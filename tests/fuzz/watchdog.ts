/** Ends a test process whose main thread stands still: a worker that waits to be told to go on. */

// deno-lint-ignore no-explicit-any
const worker = self as any;
let timer: ReturnType<typeof setTimeout> | undefined;

worker.onmessage = ({ data: { name, input, seconds } }: MessageEvent) => {
  clearTimeout(timer);
  if (name === null) return;
  timer = setTimeout(() => {
    console.error(`${name} hangs: no end after ${seconds} s with ${input}`);
    Deno.kill(Deno.pid, "SIGKILL");
  }, 1000 * seconds);
};
