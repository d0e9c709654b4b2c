/** The most steps that share a submit. */
export const STEPS_PER_SUBMIT = 16;

/** Seconds that a submit's steps take at most, so that the device never waits long for the next. */
const SUBMIT_SECONDS = 0.02;

/** How many steps share a submit, so that short ones cost the host less; results are the same. */
export function stepsPerSubmit(stepsPerSecond: number): number {
  const count = Math.round(stepsPerSecond * SUBMIT_SECONDS);
  return Math.min(Math.max(count, 1), STEPS_PER_SUBMIT);
}
