/**
 * The batch of a golden folder: what `inputs.json` holds, checked.
 *
 * @module
 */

import { readJsonFile } from "../formats/huggingface.ts";
import type { Values } from "../gpu/session.ts";
import type { Sizes } from "../graph/shape.ts";
import type { Model } from "../models/model.ts";
import { IGNORED } from "../train/task.ts";

/** A batch as a program's inputs. */
export interface Batch {
  /** B examples of T tokens, and D decoder tokens where there is a decoder. */
  readonly sizes: Sizes;
  readonly values: Readonly<Record<string, Values>>;
}

/**
 * Reads a batch for a model: `input_ids`, `attention_mask`, `labels`, `token_type_ids` for a model
 * that tells kinds of token apart, and `decoder_input_ids` for a text-to-text model.
 *
 * @throws TypeError or RangeError naming the field that is missing or does not fit the model.
 */
export async function readBatch(path: string, model: Model, classes: number): Promise<Batch> {
  const raw = await readJsonFile(path);
  const { vocabulary, textToText, tokenTypes } = model;
  const rows = (key: string, low: number, high: number) =>
    rectangle(path, key, raw[key], (value) => value >= low && value < high, `in [${low}, ${high})`);
  const ids = rows("input_ids", 0, vocabulary);
  const mask = rows("attention_mask", 0, 2);
  const [B, T] = [ids.rows, ids.columns];
  expectSize(path, "attention_mask", mask, B, T);
  const isLabel = (limit: number) => (value: number) =>
    value === IGNORED || (value >= 0 && value < limit);
  const common: Record<string, Values> = {
    ids: Uint32Array.from(ids.flat),
    mask: Float32Array.from(mask.flat),
  };
  if (tokenTypes !== undefined) {
    const types = rows("token_type_ids", 0, tokenTypes);
    expectSize(path, "token_type_ids", types, B, T);
    common.token_types = Uint32Array.from(types.flat);
  }
  if (textToText !== undefined) {
    const decoder = rows("decoder_input_ids", 0, vocabulary);
    const D = decoder.columns;
    const rule = `in [0, ${vocabulary}) or ${IGNORED}`;
    const labels = rectangle(path, "labels", raw.labels, isLabel(vocabulary), rule);
    expectSize(path, "decoder_input_ids", decoder, B, D);
    expectSize(path, "labels", labels, B, D);
    return {
      sizes: { B, T, D },
      values: {
        ...common,
        decoder_ids: Uint32Array.from(decoder.flat),
        ...target(path, labels.flat),
      },
    };
  }
  const listed = Array.isArray(raw.labels) ? raw.labels.map((label) => [label]) : raw.labels;
  const labels = rectangle(path, "labels", listed, isLabel(classes), `in [0, ${classes})`);
  expectSize(path, "labels", labels, B, 1);
  return {
    sizes: { B, T },
    values: { ...common, last: lastTokens(path, mask), ...target(path, labels.flat) },
  };
}

interface Rectangle {
  readonly rows: number;
  readonly columns: number;
  readonly flat: readonly number[];
}

function rectangle(
  path: string,
  key: string,
  value: unknown,
  holds: (value: number) => boolean,
  rule: string,
): Rectangle {
  const rows = Array.isArray(value) ? value as unknown[] : [];
  const columns = Array.isArray(rows[0]) ? rows[0].length : 0;
  if (columns === 0 || !rows.every((row) => Array.isArray(row) && row.length === columns)) {
    throw new TypeError(
      `Cannot read ${path}: ${key} must have rows of one length, ${
        value === undefined ? "found none" : "found something else"
      }`,
    );
  }
  const flat = (rows as unknown[][]).flat();
  const bad = flat.findIndex((one) => !Number.isSafeInteger(one) || !holds(one as number));
  if (bad >= 0) {
    throw new RangeError(
      `Cannot read ${path}: ${key} of row ${Math.floor(bad / columns)}, column ${
        bad % columns
      } must be a whole number ${rule}, found ${JSON.stringify(flat[bad])}`,
    );
  }
  return { rows: rows.length, columns, flat: flat as number[] };
}

function expectSize(path: string, key: string, found: Rectangle, rows: number, columns: number) {
  if (found.rows === rows && found.columns === columns) return;
  throw new TypeError(
    `Cannot read ${path}: ${key} is ${found.rows} × ${found.columns}, not ${rows} × ${columns} as the rest of the batch`,
  );
}

function target(path: string, labels: readonly number[]): Record<string, Values> {
  const count = labels.filter((label) => label !== IGNORED).length;
  if (count === 0) throw new RangeError(`Cannot read ${path}: no label counts for the loss`);
  return { labels: Int32Array.from(labels), inverse_count: Float32Array.of(1 / count) };
}

/** Place of each row's last token. @throws RangeError where the padding is not on the right. */
function lastTokens(path: string, { rows, columns, flat }: Rectangle): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: rows }, (_, row) => {
    const own = flat.slice(row * columns, (row + 1) * columns);
    const length = own.filter((kept) => kept === 1).length;
    if (length === 0 || own.lastIndexOf(1) !== length - 1) {
      throw new RangeError(
        `Cannot read ${path}: attention_mask of row ${row} must be ones, then zeros: padding is on the right`,
      );
    }
    return length - 1;
  });
}
