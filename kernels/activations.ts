/**
 * WGSL of activations and their derivatives, as expressions for the elementwise kernel.
 *
 * In `value`, a is the input; in `gradient`, a is the input (or, where `from` says so, the output)
 * and b the gradient of the output. All pass NaN on, and none leaves f32's range on the way.
 *
 * @module
 */

/** One activation: its value, its gradient, and the functions that both call. */
export interface ActivationSource {
  readonly value: string;
  readonly gradient: string;
  readonly from: "input" | "output";
  readonly functions: readonly string[];
}

/** WGSL of a polynomial in `x`, lowest coefficient first, by Horner's rule. */
function polynomial(x: string, coefficients: readonly number[]): string {
  return coefficients.map((c) => c.toExponential(9)).reduceRight((rest, c) =>
    `fma(${rest}, ${x}, ${c})`
  );
}

/** Maclaurin coefficients of erf(z)/z in powers of z²: Abramowitz and Stegun 7.1.5. */
const ERF_NEAR = Array.from({ length: 10 }, (_, n) => {
  let factorial = 1;
  for (let i = 2; i <= n; i++) factorial *= i;
  return (2 / Math.sqrt(Math.PI)) * (-1) ** n / (factorial * (2 * n + 1));
});

/** erfc(z) ≈ t·P(t)·exp(−z²), t = 1/(1 + 0.3275911 z): Abramowitz and Stegun 7.1.26. */
const ERFC_FAR = [0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429];

// The series is good to 2e-8 below z = 1, where rounding would spoil the formula for large z.
const NORMAL_CDF = `fn normal_cdf(x: f32) -> f32 {
  let z = min(abs(x) * ${Math.SQRT1_2}, 9.0);
  let u = z * z;
  let t = 1.0 / fma(0.3275911, z, 1.0);
  let near = 1.0 - z * ${polynomial("u", ERF_NEAR)};
  let far = t * ${polynomial("t", ERFC_FAR)} * exp(-u);
  let tail = 0.5 * select(far, near, z < 1.0);
  return select(tail, 1.0 - tail, x > 0.0);
}`;

// Some drivers compute tanh from exponentials, which overflow.
const SAFE_TANH = `fn safe_tanh(x: f32) -> f32 {
  return select(tanh(x), sign(x), abs(x) > 10.0);
}`;

const SIGMOID = `fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(-max(x, -80.0))); }`;

const GELU_TANH = `fn bend(x: f32) -> f32 {
  return safe_tanh(${Math.sqrt(2 / Math.PI)} * x * fma(0.044715, x * x, 1.0));
}
fn gelu_tanh_slope(x: f32) -> f32 {
  let h = bend(x);
  let inner = ${Math.sqrt(2 / Math.PI)} * fma(${3 * 0.044715}, x * x, 1.0);
  return 0.5 * (1.0 + h) + 0.5 * x * (1.0 - h * h) * inner;
}`;

/** y = max(x, 0). */
export const reluSource: ActivationSource = {
  value: "select(a, 0.0, a < 0.0)",
  gradient: "select(0.0, b, a > 0.0)",
  from: "output",
  functions: [],
};

/** y = x for x ≥ 0, 0.01·x below (Maas, Hannun and Ng, 2013). */
export const leakyReluSource: ActivationSource = {
  value: "select(a, 0.01 * a, a < 0.0)",
  gradient: "select(b, 0.01 * b, a < 0.0)",
  from: "input",
  functions: [],
};

/** y = x·Φ(x), Φ the normal distribution function, good to about 2e-7·|x| (Hendrycks and Gimpel, 2016). */
export const geluSource: ActivationSource = {
  value: "a * normal_cdf(a)",
  gradient: `b * fma(a * ${1 / Math.sqrt(2 * Math.PI)}, exp(-0.5 * a * a), normal_cdf(a))`,
  from: "input",
  functions: [NORMAL_CDF],
};

/** y = x/2·(1 + tanh(√(2/π)·(x + 0.044715 x³))) (Hendrycks and Gimpel, 2016). */
export const geluTanhSource: ActivationSource = {
  value: "0.5 * a * (1.0 + bend(a))",
  gradient: "b * gelu_tanh_slope(a)",
  from: "input",
  functions: [SAFE_TANH, GELU_TANH],
};

/** y = x·σ(x), σ(x) = 1/(1 + exp(−x)) (Elfwing, Uchibe and Doya, 2018). */
export const siluSource: ActivationSource = {
  value: "a * sigmoid(a)",
  gradient: "b * sigmoid(a) * fma(a, 1.0 - sigmoid(a), 1.0)",
  from: "input",
  functions: [SIGMOID],
};

/** y = tanh(x). */
export const tanhSource: ActivationSource = {
  value: "safe_tanh(a)",
  gradient: "b * (1.0 - a * a)",
  from: "output",
  functions: [SAFE_TANH],
};

/** y = σ(x) = 1/(1 + exp(−x)). */
export const sigmoidSource: ActivationSource = {
  value: "1.0 / (1.0 + exp(-select(a, -80.0, a < -80.0)))",
  gradient: "b * a * (1.0 - a)",
  from: "output",
  functions: [],
};
