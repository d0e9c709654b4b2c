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
    const fields = [...Object.entries(definition.params), ["groups", "u32"]];
    const half = [definition.reads, definition.writes].flatMap((part) => Object.values(part))
      .some((element) => element.includes("f16"));
    return `${half ? "enable f16;\n" : ""}struct Params { ${
      fields.map(([name, type]) => `${name}: ${type}`).join(", ")
    } }
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

/** The parameter struct as bytes: fields in order, then `groups`, padded to 16 bytes. */
export function packParams(
  kernel: Kernel,
  params: Params,
  groups: number,
): Uint8Array<ArrayBuffer> {
  const names = Object.keys(kernel.params);
  const bytes = new Uint8Array(Math.ceil((names.length + 1) / 4) * 16);
  const view = new DataView(bytes.buffer);
  names.forEach((name, i) => {
    const value = params[name];
    if (value === undefined) {
      throw new TypeError(`Cannot run ${kernel.name}: parameter ${name} is missing`);
    }
    const type = kernel.params[name];
    if (type === "f32") view.setFloat32(i * 4, value, true);
    else if (type === "i32") view.setInt32(i * 4, value, true);
    else view.setUint32(i * 4, value, true);
  });
  view.setUint32(names.length * 4, groups, true);
  return bytes;
}
