import { IGNORED_LABEL } from "./cross_entropy.ts";
import { type Kernel, kernel } from "./kernel.ts";
import { recordTotal } from "./record.ts";
import { reduction } from "./reduce.ts";

/** Classes that an invocation holds at once, in the lanes that `cross_entropy` gives their rows. */
const LANES = 8;

/** Most classes of a row: those whose exponentials lie in registers. */
export const FEW_CLASSES = 31;

/** WGSL of Σ e0, e1, …, in the order in which `cross_entropy` adds up so many classes. */
function sum(classes: number): string {
  const width = classes % 4 === 0 ? 4 : 1;
  const lanes: (string | undefined)[] = Array.from({ length: LANES });
  for (let c = 0; c < classes; c += width) {
    const lane = (c / width) % LANES;
    const own = width === 4 ? `((e${c} + e${c + 1}) + (e${c + 2} + e${c + 3}))` : `e${c}`;
    lanes[lane] = lanes[lane] === undefined ? own : `(${lanes[lane]} + ${own})`;
  }
  for (let half = LANES / 2; half >= 1; half /= 2) {
    for (let lane = 0; lane < half; lane++) {
      const other = lanes[lane + half];
      if (other !== undefined) lanes[lane] = `(${lanes[lane]} + ${other})`;
    }
  }
  return lanes[0]!;
}

const make = (classes: number, scaled: boolean): Kernel => {
  const each = (write: (c: number) => string) =>
    Array.from({ length: classes }, (_, c) => `    ${write(c)}`).join("\n");
  return kernel({
    name: "recorded_cross_entropy",
    reads: {
      ...{ x: "f32", labels: "i32", g: "f32" },
      ...(scaled ? { factor: "f32" as const } : {}),
      step_count: "u32",
    },
    writes: { dx: "f32", losses: "f32" },
    params: { rows: "u32", g_r: "u32", capacity: "u32" },
    tune: { wg: 64 },
    workgroups: () => 1,
    globals: ({ wg }) => reduction("sum", wg),
    body: ({ wg }) =>
      `  var total = 0.0;
  for (var r = lane; r < p.rows; r += ${wg}u) {
    let base = r * ${classes}u;
    let label = labels[r];
    if (label == ${IGNORED_LABEL}) {
${each((c) => `dx[base + ${c}u] = 0.0;`)}
      continue;
    }
${each((c) => `let x${c} = x[base + ${c}u];`)}
    var largest = x0;
${each((c) => `largest = max(largest, x${c});`)}
${each((c) => `let e${c} = exp(x${c} - largest);`)}
    let spread = ${sum(classes)};
    let loss = log(spread) + (largest - x[base + u32(label)]);
    total += loss;
    let own = g[r * p.g_r];
    let weight = own / spread;
${each((c) => `dx[base + ${c}u] = select(e${c} * weight, e${c} * weight - own, label == ${c});`)}
  }
  total = reduce_sum(total, lane);
  if (lane == 0u) {
${recordTotal(scaled)}
  }`,
  });
};

const known = new Map<string, Kernel>();

/**
 * What `cross_entropy`, `record` and `cross_entropy_grad` do, for few classes: the rows' gradient, and
 * their loss added to the step's slot; with the same order of sums. One workgroup, an invocation for
 * each row.
 *
 * @param classes At most {@linkcode FEW_CLASSES}.
 * @param scaled Whether the loss has a factor.
 */
export function recordedCrossEntropyKernel(classes: number, scaled: boolean): Kernel {
  const key = `${classes} ${scaled}`;
  const found = known.get(key) ?? make(classes, scaled);
  known.set(key, found);
  return found;
}
