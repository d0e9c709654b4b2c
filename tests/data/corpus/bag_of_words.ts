/** A labelled text. */
export interface LabelledText {
  readonly text: string;
  readonly label: number;
}

/**
 * A bag-of-words classifier: logistic regression on unigram counts and a bias, with an L2 penalty on
 * all but the bias, trained by Newton's method until no gradient component is above 1e-8.
 *
 * @param penalty λ of the penalty λ/2 · |w|², beside the mean log-likelihood.
 * @returns Class 0 or 1 of a text.
 */
export function trainBagOfWords(
  examples: readonly LabelledText[],
  penalty: number,
): (text: string) => number {
  const words = [...new Set(examples.flatMap(({ text }) => text.split(" ")))];
  const columns = new Map(words.map((word, i) => [word, i]));
  const bias = words.length;
  const size = bias + 1;
  const counts = (text: string): Map<number, number> => {
    const row = new Map([[bias, 1]]);
    for (const word of text.split(" ")) {
      const column = columns.get(word);
      if (column !== undefined) row.set(column, (row.get(column) ?? 0) + 1);
    }
    return row;
  };
  const rows = examples.map(({ text, label }) => ({ row: counts(text), label }));
  const weights = new Float64Array(size);
  const score = (row: Map<number, number>): number =>
    row.entries().reduce((sum, [i, n]) => sum + weights[i] * n, 0);
  for (let iteration = 0;; iteration++) {
    const gradient = weights.map((w, i) => i === bias ? 0 : penalty * w);
    const hessian = Array.from({ length: size }, (_, i) => {
      const line = new Float64Array(size);
      line[i] = i === bias ? 1e-9 : penalty;
      return line;
    });
    for (const { row, label } of rows) {
      const p = 1 / (1 + Math.exp(-score(row)));
      for (const [i, n] of row) {
        gradient[i] += (p - label) * n / rows.length;
        for (const [j, m] of row) hessian[i][j] += p * (1 - p) * n * m / rows.length;
      }
    }
    if (gradient.every((g) => Math.abs(g) < 1e-8)) break;
    if (iteration === 50) throw new Error("Newton's method does not converge");
    solve(hessian, gradient).forEach((step, i) => weights[i] -= step);
  }
  return (text) => Number(score(counts(text)) > 0);
}

/** Solves a positive definite system by Cholesky's factorisation, in place of the matrix. */
function solve(matrix: Float64Array[], right: Float64Array): Float64Array {
  const n = right.length;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i][j];
      for (let k = 0; k < j; k++) sum -= matrix[i][k] * matrix[j][k];
      matrix[i][j] = i === j ? Math.sqrt(sum) : sum / matrix[j][j];
    }
  }
  const x = right.slice();
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i] -= matrix[i][k] * x[k];
    x[i] /= matrix[i][i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i] -= matrix[k][i] * x[k];
    x[i] /= matrix[i][i];
  }
  return x;
}
