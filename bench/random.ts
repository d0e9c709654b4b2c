/** Uniform in [−1, 1) from a fixed seed (xorshift32; Marsaglia, 2003). */
export function random(count: number, seed: number): Float32Array<ArrayBuffer> {
  let state = Math.imul(seed, 2654435761);
  return Float32Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state / 2 ** 31;
  });
}
