/** Element types of safetensors files that can be read. */
export type Dtype =
  | "F64"
  | "F32"
  | "F16"
  | "BF16"
  | "I64"
  | "I32"
  | "I16"
  | "I8"
  | "U64"
  | "U32"
  | "U16"
  | "U8"
  | "BOOL";

/** Bytes per element. */
export const DTYPE_BYTES: Readonly<Record<Dtype, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
};

/** Whether a name is one of the readable element types. */
export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(DTYPE_BYTES, name);
}

/** Whether elements are floating-point numbers, the only ones that convert to f32. */
export function isFloat(dtype: Dtype): boolean {
  return dtype === "F64" || dtype === "F32" || dtype === "F16" || dtype === "BF16";
}

/**
 * Little-endian elements as f32: f16 and bf16 exactly, f64 rounded to nearest.
 *
 * @param bytes Whole elements of `dtype`, at an offset that is a multiple of 8.
 * @param out One number per element.
 * @throws {RangeError} If a finite f64 is beyond the range of f32.
 */
export function toFloat32(dtype: Dtype, bytes: Uint8Array<ArrayBuffer>, out: Float32Array): void {
  const { buffer, byteOffset } = bytes;
  if (dtype === "F32") out.set(new Float32Array(buffer, byteOffset, out.length));
  else if (dtype === "F16") out.set(new Float16Array(buffer, byteOffset, out.length));
  else if (dtype === "BF16") {
    // bf16 is the upper half of an f32 (Kalamkar et al., 2019).
    const halves = new Uint16Array(buffer, byteOffset, out.length);
    const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
    for (let i = 0; i < halves.length; i++) words[i] = halves[i] << 16;
  } else if (dtype === "F64") {
    const doubles = new Float64Array(buffer, byteOffset, out.length);
    out.set(doubles);
    for (let i = 0; i < out.length; i++) {
      if (!Number.isFinite(out[i]) && Number.isFinite(doubles[i])) {
        throw new RangeError(`element ${i} is ${doubles[i]}, beyond the range of f32`);
      }
    }
  } else throw new TypeError(`${dtype} is not a floating-point type`);
}
