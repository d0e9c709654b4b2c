/**
 * The registry of operations' cases: every file under `tests/ops/cases/` exports `cases`.
 *
 * A new operation brings a file there and a test file with one call of {@linkcode testCases};
 * `tests/ops/check_teeth_test.ts` finds the cases by itself.
 *
 * @module
 */

import { type CheckCase, checkOp, gpuTest } from "./check_op.ts";
import type { Gpu } from "../lib/gpu/device.ts";

/** A case of an operation with its name, for tests that run over all of them. */
export interface OpCase extends CheckCase {
  readonly name: string;
  /** Largest binding that the device is opened with, bytes. */
  readonly maxBinding?: number;
  /** The true gradient is zero, so that no wrong factor in it can show. */
  readonly flat?: boolean;
}

/** Declares a test that checks cases, all on one device per size of binding. */
export function testCases(subject: string, cases: readonly OpCase[]): void {
  for (const maxBinding of bindings(cases)) {
    const limit = maxBinding === undefined ? "" : `, bindings of ${maxBinding} bytes`;
    gpuTest(
      `${subject} matches its f64 reference, forward and gradient${limit}`,
      (gpu) => checkAll(gpu, cases.filter((check) => check.maxBinding === maxBinding)),
      maxBinding,
    );
  }
}

async function checkAll(gpu: Gpu, cases: readonly OpCase[]): Promise<void> {
  for (const check of cases) await checkOp(gpu, check.name, check);
}

/** The sizes of bindings that some cases ask for, undefined for the adapter's own. */
export function bindings(cases: readonly OpCase[]): (number | undefined)[] {
  return [...new Set(cases.map(({ maxBinding }) => maxBinding))];
}

/** Every case of every file under `tests/ops/cases/`. */
export async function allCases(): Promise<OpCase[]> {
  return (await importAll<{ cases: readonly OpCase[] }>(new URL("./ops/cases/", import.meta.url)))
    .flatMap(({ cases }) => cases);
}

/** Imports every module of a folder, in the order of their names. */
export async function importAll<T>(folder: URL): Promise<T[]> {
  const names = [...Deno.readDirSync(folder)].filter(({ isFile, name }) =>
    isFile && name.endsWith(".ts")
  ).map(({ name }) => name).sort();
  return await Promise.all(names.map((name) => import(new URL(name, folder).href)));
}
