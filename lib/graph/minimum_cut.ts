/**
 * The source's side of a minimum cut of a network, the smallest there is: what shortest augmenting
 * paths (Edmonds and Karp, 1972) leave reachable.
 *
 * @param edges From, to, capacity of each; capacities may be infinite, but no path's from source to
 *   sink may be so throughout.
 * @param count Vertices, numbered from 0.
 */
export function minimumCut(
  edges: readonly (readonly [number, number, number])[],
  count: number,
  source: number,
  sink: number,
): Set<number> {
  const target: number[] = [];
  const room: number[] = [];
  const from: number[][] = Array.from({ length: count }, () => []);
  for (const [a, b, capacity] of edges) {
    from[a].push(target.push(b) - 1);
    room.push(capacity);
    from[b].push(target.push(a) - 1); // what has flown may flow back
    room.push(0);
  }
  while (true) {
    const by = new Map<number, number>([[source, -1]]);
    const queue = [source];
    for (let i = 0; i < queue.length && !by.has(sink); i++) {
      for (const edge of from[queue[i]]) {
        if (room[edge] <= 0 || by.has(target[edge])) continue;
        by.set(target[edge], edge);
        queue.push(target[edge]);
      }
    }
    if (!by.has(sink)) return new Set(queue);
    const path: number[] = [];
    for (let at = sink; at !== source; at = target[path[path.length - 1] ^ 1]) {
      path.push(by.get(at)!);
    }
    const flow = Math.min(...path.map((edge) => room[edge]));
    for (const edge of path) {
      room[edge] -= flow;
      room[edge ^ 1] += flow;
    }
  }
}
