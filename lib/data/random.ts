import { sha256 } from "../formats/digest.ts";

/**
 * Seeded random numbers in independent streams, the same on every platform.
 *
 * Generator: xoshiro128** 1.1 (Blackman and Vigna, Scrambled Linear Pseudorandom Number
 * Generators, ACM TOMS 47(4), 2021). Its 128 bits of state are the first 16 bytes of the SHA-256 of
 * the JSON array `[seed, ...streams]`, so that streams of other names, or of other seeds, have
 * nothing to do with each other.
 *
 * @example
 * ```ts
 * const random = new Random(0, "epoch", 3);
 * const order = random.shuffle([0, 1, 2, 3]);
 * ```
 */
export class Random {
  readonly #state = new Uint32Array(4);
  #spare: number | undefined;

  /**
   * @param seed A whole number.
   * @param streams Names or numbers that tell this stream from others of the same seed.
   * @throws {RangeError} If the seed is not a whole number that a double holds exactly.
   */
  constructor(seed: number, ...streams: readonly (string | number)[]) {
    if (!Number.isSafeInteger(seed)) {
      throw new RangeError(`Cannot seed random numbers with ${seed}: it must be a whole number`);
    }
    const key = sha256(JSON.stringify([seed, ...streams]));
    for (let i = 0; i < 4; i++) this.#state[i] = parseInt(key.slice(8 * i, 8 * i + 8), 16);
    if (this.#state.every((word) => word === 0)) this.#state[0] = 1; // zero would stay zero
  }

  /** A whole number, uniform in [0, 2³²). */
  uint32(): number {
    const s = this.#state;
    const x = Math.imul(s[1], 5);
    const result = Math.imul(x << 7 | x >>> 25, 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 11 | s[3] >>> 21;
    return result;
  }

  /** A number with 53 random bits, uniform in [low, high). */
  uniform(low = 0, high = 1): number {
    const bits = (this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6);
    return low + (high - low) * (bits / 2 ** 53);
  }

  /**
   * A whole number, uniform in [0, n), without bias: draws beyond the last whole multiple of n
   * are repeated.
   *
   * @throws {RangeError} If n is not a whole number from 1 to 2³².
   */
  below(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) {
      throw new RangeError(`Cannot draw below ${n}: a whole number from 1 to 2^32 is needed`);
    }
    const limit = 2 ** 32 - 2 ** 32 % n;
    let draw = this.uint32();
    while (draw >= limit) draw = this.uint32();
    return draw % n;
  }

  /**
   * A normally distributed number, in f64, by the polar form of Box and Muller's method
   * (Marsaglia and Bray, A Convenient Method for Generating Normal Variables, SIAM Review, 1964):
   * it needs no sine, which differs between processors in its last bits.
   */
  normal(mean = 0, deviation = 1): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return mean + deviation * spare;
    }
    let u, v, s;
    do {
      u = this.uniform(-1, 1);
      v = this.uniform(-1, 1);
      s = u * u + v * v;
    } while (s >= 1 || s === 0);
    const scale = Math.sqrt(-2 * Math.log(s) / s);
    this.#spare = v * scale;
    return mean + deviation * u * scale;
  }

  /** Shuffles an array in place (Fisher and Yates; Durstenfeld, 1964) and returns it. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  }
}
