import { type Kernel, kernel } from "./kernel.ts";

const known = new WeakMap<Kernel, Map<string, Kernel>>();

/**
 * The same program that reads an input from where it writes its output: WebGPU takes one binding of
 * a buffer that is written.
 *
 * @param base Reads each element of `read` right before it writes the same one of `written`, and by
 *   the same invocation.
 * @param read A binding of the element type of `written`.
 */
export function inPlace(base: Kernel, read: string, written: string): Kernel {
  const own = known.get(base) ?? new Map<string, Kernel>();
  known.set(base, own);
  const key = `${read} ${written}`;
  const found = own.get(key) ?? make(base, read, written);
  own.set(key, found);
  return found;
}

function make(base: Kernel, read: string, written: string): Kernel {
  const { [read]: dropped, ...reads } = base.reads;
  if (dropped === undefined || dropped !== base.writes[written]) {
    throw new TypeError(
      `Cannot run ${base.name} in place: ${read} must be read as ${written} is written, found ${
        dropped ?? "none"
      } and ${base.writes[written] ?? "none"}`,
    );
  }
  const access = new RegExp(`(?<![\\w.])${read}\\[`, "g");
  const rename = (wgsl: string) => wgsl.replace(access, `${written}[`);
  return kernel({
    ...base,
    reads,
    globals: (tune) => rename(base.globals?.(tune) ?? ""),
    body: (tune) => rename(base.body(tune)),
  });
}
