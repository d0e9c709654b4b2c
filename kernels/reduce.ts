/**
 * The one tree reduction that every kernel shares.
 *
 * Sums (or takes the maximum of) one value per invocation in a fixed order, so results do not
 * depend on scheduling.
 *
 * @module
 */

const COMBINE = { sum: "a + b", max: "max(a, b)" } as const;

/**
 * WGSL of `fn reduce_<kind>(value: f32, lane: u32) -> f32` over a workgroup of `wg` invocations.
 * `wg` is a power of two; every invocation of the workgroup must call it, and all get the result.
 */
export function reduction(kind: keyof typeof COMBINE, wg: number): string {
  const steps: string[] = [];
  for (let half = wg / 2; half >= 1; half /= 2) {
    steps.push(`  if (lane < ${half}u) {
    let a = scratch_${kind}[lane];
    let b = scratch_${kind}[lane + ${half}u];
    scratch_${kind}[lane] = ${COMBINE[kind]};
  }
  workgroupBarrier();`);
  }
  return `var<workgroup> scratch_${kind}: array<f32, ${wg}>;
fn reduce_${kind}(value: f32, lane: u32) -> f32 {
  scratch_${kind}[lane] = value;
  workgroupBarrier();
${steps.join("\n")}
  let result = scratch_${kind}[0];
  workgroupBarrier();
  return result;
}`;
}
