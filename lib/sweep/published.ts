/**
 * Published results, to be read beside our own.
 *
 * @module
 */

import { digestJson } from "../formats/digest.ts";
import { type MethodRegistry, type MethodSpec, parseMethods } from "./method_spec.ts";

/** One row of a published table. */
export interface PublishedRow {
  /** The method that it is the result of, as {@linkcode parseMethods} reads it. */
  readonly method: string;
  /** Percent. */
  readonly accuracy: number;
  /** Parameters in all, where the table has them. */
  readonly total?: number;
  /** Parameters that train, where the table has them. */
  readonly trainable?: number;
}

/** A published table. */
export interface PublishedTable {
  /** Where it stands. */
  readonly source: string;
  /** How its accuracies were measured, for a reader who compares. */
  readonly measured: string;
  readonly rows: readonly PublishedRow[];
}

/** Finds the published row of a method; null where there is none. */
export type FindPublished = (method: MethodSpec) => PublishedRow | null;

/** Looks methods up in a table, by name and options. */
export function findPublished(
  table: PublishedTable | undefined,
  registry: MethodRegistry,
): FindPublished {
  const key = ({ name, options }: MethodSpec) => digestJson({ name, options });
  const rows = new Map(
    table?.rows.map((row) => [key(parseMethods(row.method, registry)[0]), row]),
  );
  return (method) => rows.get(key(method)) ?? null;
}
