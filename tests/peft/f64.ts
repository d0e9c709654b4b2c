/**
 * Small dense linear algebra in f64, for references.
 *
 * @module
 */

/** a [rows, inner] times b [inner, columns], row-major. */
export function multiply(a: Float64Array, b: Float64Array, inner: number): Float64Array {
  const [rows, columns] = [a.length / inner, b.length / inner];
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    let total = 0;
    for (let i = 0; i < inner; i++) total += a[row * inner + i] * b[i * columns + column];
    return total;
  });
}

/** The norm of each row. */
export function rowsNorm(matrix: Float64Array, columns: number): Float64Array {
  return Float64Array.from(
    { length: matrix.length / columns },
    (_, row) => Math.hypot(...matrix.subarray(row * columns, (row + 1) * columns)),
  );
}

/**
 * The matrix of a rank that is closest to another (Eckart and Young, 1936): its projection onto the
 * first eigenvectors of WᵀW, found by Jacobi's rotations (1846).
 */
export function closest(w: Float64Array, columns: number, rank: number): Float64Array {
  const n = columns;
  const rows = w.length / n;
  const gram = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      for (let row = 0; row < rows; row++) gram[i * n + j] += w[row * n + i] * w[row * n + j];
    }
  }
  const vectors = Float64Array.from({ length: n * n }, (_, at) => at % (n + 1) === 0 ? 1 : 0);
  for (let sweep = 0; sweep < 60; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) rotate(gram, vectors, n, p, q);
    }
  }
  const order = Array.from({ length: n }, (_, i) => i)
    .sort((a, b) => gram[b * n + b] - gram[a * n + a]);
  const projection = new Float64Array(n * n);
  for (const k of order.slice(0, rank)) {
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        projection[i * n + j] += vectors[i * n + k] * vectors[j * n + k];
      }
    }
  }
  return multiply(w, projection, n);
}

/** Makes gram[p, q] zero by a rotation, which the columns of `vectors` follow. */
function rotate(gram: Float64Array, vectors: Float64Array, n: number, p: number, q: number): void {
  const off = gram[p * n + q];
  if (off === 0) return;
  const theta = (gram[q * n + q] - gram[p * n + p]) / (2 * off);
  const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const c = 1 / Math.hypot(t, 1);
  const s = t * c;
  const turn = (matrix: Float64Array, a: number, b: number) => {
    const [x, y] = [matrix[a], matrix[b]];
    [matrix[a], matrix[b]] = [c * x - s * y, s * x + c * y];
  };
  for (let i = 0; i < n; i++) turn(gram, i * n + p, i * n + q);
  for (let i = 0; i < n; i++) turn(gram, p * n + i, q * n + i);
  for (let i = 0; i < n; i++) turn(vectors, i * n + p, i * n + q);
}
