import type { RowRange } from "../graph/node.ts";
import { elements } from "../graph/shape.ts";

/**
 * Bytes at which a part of a buffer may be bound: every adapter's alignment is a divisor of 256, and
 * what is stored in half precision starts at half of it.
 */
const ALIGNMENT = 512;

/**
 * Cuts a tensor into row ranges that each fit one binding; one range where all of it does.
 *
 * @param shape Bound shape; its first dimension is cut.
 * @param maxBinding Largest binding, bytes.
 * @throws RangeError where a single aligned group of rows is too large.
 */
export function rowShards(shape: readonly number[], maxBinding: number): RowRange[] {
  const rowBytes = elements(shape.slice(1)) * 4;
  const rows = shape[0] ?? 1;
  if (rows * rowBytes <= maxBinding) return [{ start: 0, count: rows }];
  let unit = 1;
  while ((unit * rowBytes) % ALIGNMENT !== 0) unit++;
  const count = Math.floor(maxBinding / (unit * rowBytes)) * unit;
  if (count < 1) {
    throw new RangeError(
      `Cannot bind [${shape}]: ${
        unit * rowBytes
      } bytes of ${unit} rows are over the adapter's largest binding (${maxBinding})`,
    );
  }
  const shards: RowRange[] = [];
  for (let start = 0; start < rows; start += count) {
    shards.push({ start, count: Math.min(count, rows - start) });
  }
  return shards;
}
