/**
 * Kernels that were chosen by measurement, kept for the next process.
 *
 * @module
 */

import { writeFileAtomic } from "../formats/atomic.ts";
import { digestJson } from "../formats/digest.ts";
import { ioReason } from "../formats/io_error.ts";
import { isJsonObject, parseStrictJson } from "../formats/strict_json.ts";

/** Where choices are kept. */
export const KERNEL_CACHE = ".cache/kernels";

/** What choices are measured on and for; elsewhere they are measured anew. */
export interface KernelCacheKey {
  /** Adapter, runtime and probe, as the numerics fingerprint has them. */
  readonly adapter: string;
  readonly deno: string;
  readonly probe: string;
  /** Digest of the adapter's limits. */
  readonly limits: string;
  /** Version of the package, and digest of its source, kernels included; null where none is at hand. */
  readonly package: string;
  readonly source: string | null;
}

/** Kernel names by size class. */
export type KernelChoices = Readonly<Record<string, string>>;

/**
 * The choices of one key, in a file that several processes may use at once: it is replaced as a whole,
 * and what one of two that write in the same moment has measured may have to be measured again.
 */
export class KernelCache {
  /** The file. */
  readonly path: string;
  readonly #folder: string;
  readonly #key: KernelCacheKey;

  /** The choices of a key in a folder, which need not exist. */
  constructor(key: KernelCacheKey, folder: string = KERNEL_CACHE) {
    this.path = `${folder}/${digestJson(key).slice(0, 16)}.json`;
    this.#folder = folder;
    this.#key = key;
  }

  /** Whether this process may read and write the file without asking anybody. */
  get isPermitted(): boolean {
    return (["read", "write"] as const).every((name) =>
      Deno.permissions.querySync({ name, path: this.#folder }).state === "granted"
    );
  }

  /**
   * What is kept; nothing where there is no file.
   *
   * @param note Is told, in a sentence, why a file is not used.
   */
  async read(note: (text: string) => void = () => {}): Promise<KernelChoices> {
    try {
      return checked(parseStrictJson(await Deno.readTextFile(this.path)), this.#key);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        const reason = error instanceof SyntaxError || error instanceof TypeError
          ? error.message
          : ioReason(error);
        note(
          `Not using the kernels chosen in ${this.path}: ${reason}; a rule chooses what is not measured anew`,
        );
      }
      return {};
    }
  }

  /**
   * Adds choices to those that are kept; of one class, the first stays.
   *
   * @throws Error where the file cannot be written.
   */
  async add(choices: KernelChoices): Promise<void> {
    const all = { ...choices, ...await this.read() };
    await Deno.mkdir(this.#folder, { recursive: true });
    const text = JSON.stringify({ key: this.#key, choices: all, digest: digestJson(all) }, null, 2);
    await writeFileAtomic(this.path, text + "\n");
  }
}

/** @throws TypeError where it is not what was written for the key. */
function checked(value: unknown, key: KernelCacheKey): KernelChoices {
  if (!isJsonObject(value) || !isJsonObject(value.choices)) {
    throw new TypeError("it holds no choices");
  }
  const { choices } = value;
  if (digestJson(choices) !== value.digest) {
    throw new TypeError("its digest does not fit what it holds");
  }
  if (digestJson(value.key ?? null) !== digestJson(key)) {
    throw new TypeError("it is of another adapter or version");
  }
  return choices as KernelChoices;
}
