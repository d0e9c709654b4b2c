import { assert, assertAlmostEquals } from "@std/assert";
import { Random } from "../../lib/data/random.ts";
import { minimumCut } from "../../lib/graph/minimum_cut.ts";

type Edge = readonly [number, number, number];

function capacity(edges: readonly Edge[], side: (vertex: number) => boolean): number {
  return edges.reduce((sum, [a, b, room]) => sum + (side(a) && !side(b) ? room : 0), 0);
}

Deno.test("minimumCut() cuts as little as the best of all sides", () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = new Random(seed, "cut");
    const count = 3 + random.below(5);
    const edges = Array.from({ length: 2 * count }, (): Edge => {
      const [a, b] = [random.below(count), random.below(count)];
      const free = random.below(6) === 0 && !(a === 0 && b === count - 1);
      return [a, b, free ? Infinity : random.below(20) / 4];
    });
    // Nothing flows past the sink's own edge, so that some cut is finite.
    const all: Edge[] = [...edges, [count - 1, count, 7.5]];
    const side = minimumCut(all, count + 1, 0, count);
    assert(side.has(0) && !side.has(count));
    let best = Infinity;
    for (let bits = 0; bits < 2 ** (count - 1); bits++) {
      const inside = (v: number) => v === 0 || (v < count && (bits >> (v - 1)) % 2 === 1);
      best = Math.min(best, capacity(all, inside));
    }
    assertAlmostEquals(capacity(all, (v) => side.has(v)), best, 1e-9, `seed ${seed}`);
  }
});
