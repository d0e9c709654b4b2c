/**
 * What a WGSL program is to the rest of the project: a record from which the binding lines, the
 * parameter struct and the entry point are generated, so that WGSL and TypeScript cannot drift.
 *
 * @module
 */

/** Element type of a storage binding. */
export type Element = "f32" | "u32" | "i32" | "f16" | "vec4<f32>" | "vec4<u32>" | "vec4<f16>";

/** A 4-byte scalar in the parameter struct. */
export type Scalar = "u32" | "i32" | "f32";

/** Constants fixed when the pipeline is compiled. */
export type Tune = Readonly<Record<string, number>>;

/** Values of the parameter struct, by name. */
export type Params = Readonly<Record<string, number>>;

/** How a kernel is declared; see {@linkcode kernel}. */
export interface KernelDefinition {
  /** Name of the program, used as label and in messages. */
  readonly name: string;
  /** Read-only storage bindings, in binding order. */
  readonly reads: Readonly<Record<string, Element>>;
  /** Read-write storage bindings, bound after the reads. */
  readonly writes: Readonly<Record<string, Element>>;
  /** Fields of the uniform struct `p`; `groups` is added by {@linkcode kernel}. */
  readonly params: Readonly<Record<string, Scalar>>;
  /** A table `p.rows` in that struct: how many rows it has, and the fields of each. */
  readonly rows?: { readonly count: number; readonly fields: Readonly<Record<string, Scalar>> };
  /** Compile-time constants with their defaults; `wg` is the workgroup size. */
  readonly tune: Tune;
  /** Subgroup size that the program rests on; any adapter will do where it is absent. */
  readonly subgroup?: number;
  /** How many workgroups the work takes. */
  readonly workgroups: (params: Params, tune: Tune) => number;
  /** Module-level WGSL: functions, workgroup memory. */
  readonly globals?: (tune: Tune) => string;
  /** Statements of the entry point; `group` and `lane` are its workgroup and invocation index. */
  readonly body: (tune: Tune) => string;
}

/** A WGSL program as a value. */
export interface Kernel extends KernelDefinition {
  /** The complete WGSL module for some constants. */
  readonly source: (tune: Tune) => string;
}

/**
 * Completes a kernel definition.
 *
 * Bindings are numbered in the order reads, writes, params. Workgroups form one linear index
 * `group`; dispatching folds large grids into y, and the generated entry point unfolds them.
 */
export function kernel(definition: KernelDefinition): Kernel {
  const source = (tune: Tune): string => {
    let binding = 0;
    const lines: string[] = [];
    for (const [name, element] of Object.entries(definition.reads)) {
      lines.push(
        `@group(0) @binding(${binding++}) var<storage, read> ${name}: array<${element}>;`,
      );
    }
    for (const [name, element] of Object.entries(definition.writes)) {
      lines.push(
        `@group(0) @binding(${binding++}) var<storage, read_write> ${name}: array<${element}>;`,
      );
    }
    const { rows } = definition;
    const struct = (name: string, fields: readonly (readonly [string, string])[]) =>
      `struct ${name} { ${fields.map(([field, type]) => `${field}: ${type}`).join(", ")} }`;
    const row = Object.entries(rows?.fields ?? {});
    // The uniform address space has elements of arrays at multiples of 16 bytes.
    const spare = Array.from(
      { length: rowWords(definition) - row.length },
      (_, i) => [`spare_${i}`, "u32"] as const,
    );
    const half = [definition.reads, definition.writes].flatMap((part) => Object.values(part))
      .some((element) => element.includes("f16"));
    return `${half ? "enable f16;\n" : ""}${
      rows === undefined ? "" : `${struct("Row", [...row, ...spare])}\n`
    }${
      struct("Params", [
        ...rows === undefined ? [] : [["rows", `array<Row, ${rows.count}>`] as const],
        ...Object.entries(definition.params),
        ["groups", "u32"],
      ])
    }
${lines.join("\n")}
@group(0) @binding(${binding}) var<uniform> p: Params;
${definition.globals?.(tune) ?? ""}
@compute @workgroup_size(${tune.wg})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = workgroup.y * grid.x + workgroup.x;
  if (group >= p.groups) { return; }
${definition.body(tune)}
}
`;
  };
  return { ...definition, source };
}

/** Words of a row of a kernel's table, 0 where it has none. */
function rowWords({ rows }: Pick<KernelDefinition, "rows">): number {
  return rows === undefined ? 0 : Math.ceil(Object.keys(rows.fields).length / 4) * 4;
}

/** Bytes of the parameter struct: rows of the table, fields and `groups`, padded to 16 bytes. */
export function paramsSize(kernel: Kernel): number {
  const fields = Object.keys(kernel.params).length + 1;
  return (rowWords(kernel) * (kernel.rows?.count ?? 0) + Math.ceil(fields / 4) * 4) * 4;
}

/**
 * The parameter struct as bytes: rows of the table, fields in order, then `groups`, padded to 16
 * bytes.
 *
 * @param rows At most as many as the table has; the others are zero.
 * @throws TypeError where a value is missing.
 */
export function packParams(
  kernel: Kernel,
  params: Params,
  groups: number,
  rows: readonly Params[] = [],
): Uint8Array<ArrayBuffer> {
  const words = rowWords(kernel);
  const start = words * (kernel.rows?.count ?? 0);
  const names = Object.keys(kernel.params);
  const bytes = new Uint8Array(paramsSize(kernel));
  const view = new DataView(bytes.buffer);
  const write = (fields: Readonly<Record<string, Scalar>>, values: Params, from: number) =>
    Object.entries(fields).forEach(([name, type], i) => {
      const value = values[name];
      if (value === undefined) {
        throw new TypeError(`Cannot run ${kernel.name}: parameter ${name} is missing`);
      }
      const at = (from + i) * 4;
      if (type === "f32") view.setFloat32(at, value, true);
      else if (type === "i32") view.setInt32(at, value, true);
      else view.setUint32(at, value, true);
    });
  rows.forEach((row, i) => write(kernel.rows!.fields, row, i * words));
  write(kernel.params, params, start);
  view.setUint32((start + names.length) * 4, groups, true);
  return bytes;
}
