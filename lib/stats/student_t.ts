/**
 * Probability that Student's t lies within ±t: a finite series for whole degrees of freedom
 * (Abramowitz and Stegun, Handbook of Mathematical Functions, 1964, 26.7.3 and 26.7.4).
 *
 * @param t At least 0.
 * @param freedom Degrees of freedom, a whole number of at least 1.
 * @throws RangeError where one of them is not.
 */
export function tWithin(t: number, freedom: number): number {
  if (!(t >= 0)) throw new RangeError(`Cannot find P(|T| < t) at t ${t}: must be at least 0`);
  checkFreedom(freedom);
  return withinAngle(Math.atan(t / Math.sqrt(freedom)), freedom);
}

/**
 * The t that Student's t stays within with some probability, |T| < t; found by bisection, as exact
 * as doubles are.
 *
 * @param level Probability, from 0 to below 1, for instance 0.95.
 * @param freedom Degrees of freedom, a whole number of at least 1.
 * @throws RangeError where one of them is not.
 */
export function tQuantile(level: number, freedom: number): number {
  if (!(level >= 0 && level < 1)) {
    throw new RangeError(`Cannot find a quantile at level ${level}: must be from 0 to below 1`);
  }
  checkFreedom(freedom);
  let [low, high] = [0, Math.PI / 2];
  for (;;) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) return Math.tan(middle) * Math.sqrt(freedom);
    if (withinAngle(middle, freedom) < level) low = middle;
    else high = middle;
  }
}

/** P(|T| < √ν tan θ) at ν degrees of freedom. */
function withinAngle(angle: number, freedom: number): number {
  const cos = Math.cos(angle);
  const odd = freedom % 2 === 1;
  // Terms cos θ + 2/3 cos³ θ + … for odd ν, 1 + 1/2 cos² θ + … for even.
  let term = odd ? cos : 1;
  let sum = odd && freedom === 1 ? 0 : term;
  for (let k = odd ? 3 : 2; k <= freedom - 2; k += 2) {
    term *= (k - 1) / k * cos * cos;
    sum += term;
  }
  const within = Math.sin(angle) * sum;
  return odd ? (2 / Math.PI) * (angle + within) : within;
}

function checkFreedom(freedom: number): void {
  if (Number.isSafeInteger(freedom) && freedom >= 1) return;
  throw new RangeError(
    `Cannot use ${freedom} degrees of freedom: must be a whole number of at least 1`,
  );
}
