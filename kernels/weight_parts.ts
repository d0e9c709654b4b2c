import { type Kernel, kernel } from "./kernel.ts";

/**
 * First stage of the gradient of a norm's weight: part[q, c] = Σ g[row, c]·z[row, c] over the rows of
 * segment q, of `parts` segments as equal as can be. One invocation per output, so that neighbours
 * read neighbours.
 *
 * x, g: [rows, width] f32; part: [parts, width].
 *
 * @param statistic Binding of what is known of each row.
 * @param add Statement that adds the product to `total`, of `row` and its element `x[i]`, `g[i]`.
 */
export function weightParts(name: string, statistic: string, add: string): Kernel {
  return kernel({
    name,
    reads: { x: "f32", [statistic]: "f32", g: "f32" },
    writes: { part: "f32" },
    params: { rows: "u32", width: "u32", parts: "u32" },
    tune: { wg: 64 },
    workgroups: ({ width, parts }, { wg }) => parts * Math.ceil(width / wg),
    body: ({ wg }) =>
      `  let columns = (p.width + ${wg - 1}u) / ${wg}u;
  let segment = group / columns;
  let c = (group % columns) * ${wg}u + lane;
  if (c >= p.width) { return; }
  let length = (p.rows + p.parts - 1u) / p.parts;
  let last = min((segment + 1u) * length, p.rows);
  var total = 0.0;
  for (var row = segment * length; row < last; row++) {
    let i = row * p.width + c;
    ${add}
  }
  part[segment * p.width + c] = total;`,
  });
}
