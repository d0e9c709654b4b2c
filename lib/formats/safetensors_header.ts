import { type Dtype, DTYPE_BYTES, isDtype } from "./safetensors_dtype.ts";
import { isJsonObject, parseStrictJson, shown } from "./strict_json.ts";

/** Place and kind of one tensor in a file. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Product of the shape. */
  readonly elements: number;
  /** First byte and the one after the last, counted from the start of the file. */
  readonly begin: number;
  readonly end: number;
}

/** What a safetensors header says, checked. */
export interface SafetensorsHeader {
  /** In the order of their bytes in the file. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Headers longer than this are refused, as the reference implementation does; bytes. */
export const MAX_HEADER_BYTES = 100_000_000;

/**
 * Length of the JSON header, from the first eight bytes of a file.
 *
 * @param head The file's start.
 * @param fileBytes Size of the whole file.
 * @throws {RangeError} If the length cannot be true for a file of this size.
 */
export function headerLength(head: Uint8Array, fileBytes: number, file: string): number {
  if (head.length < 8 || fileBytes < 8) {
    refuse(
      file,
      `a safetensors file has at least 8 bytes; found ${Math.min(head.length, fileBytes)}`,
    );
  }
  const length = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    refuse(file, `its header claims ${length} bytes; at most ${MAX_HEADER_BYTES} are allowed`);
  }
  if (Number(length) > fileBytes - 8) {
    refuse(file, `its header claims ${length} bytes, but only ${fileBytes - 8} follow; truncated`);
  }
  return Number(length);
}

/**
 * Reads and checks a safetensors header; whatever it says beyond this is true of the file's size:
 * the tensors' byte ranges fill the data part exactly, without overlap or hole, each is as long as
 * its shape times its element size, and no name stands twice.
 *
 * Format: 8 bytes little-endian length, JSON, data (https://github.com/huggingface/safetensors).
 *
 * @param head The file's start, at least up to the end of the header.
 * @param fileBytes Size of the whole file; the length of `head` when that is the file.
 * @param file Name for error messages.
 * @throws {RangeError|TypeError} If anything is not so; the message names file and tensor.
 */
export function parseHeader(
  head: Uint8Array,
  fileBytes: number = head.length,
  file = "safetensors data",
): SafetensorsHeader {
  const length = headerLength(head, fileBytes, file);
  if (head.length < 8 + length) {
    refuse(
      file,
      `its header has ${length} bytes, but only ${head.length - 8} were read; truncated`,
    );
  }
  const json = parseJson(head.subarray(8, 8 + length), file);
  let metadata: Record<string, string> = {};
  const infos: TensorInfo[] = [];
  for (const [name, entry] of Object.entries(json)) {
    if (name === "__metadata__") metadata = checkMetadata(entry, file);
    else infos.push(checkTensor(name, entry, 8 + length, file));
  }
  checkLayout(infos, 8 + length, fileBytes, file);
  return { tensors: new Map(infos.map((info) => [info.name, info])), metadata };
}

function refuse(file: string, why: string): never {
  throw new RangeError(`Cannot read ${file}: ${why}`);
}

function refuseType(file: string, why: string): never {
  throw new TypeError(`Cannot read ${file}: ${why}`);
}

function parseJson(bytes: Uint8Array, file: string): Record<string, unknown> {
  if (bytes[0] !== 0x7b) {
    refuseType(file, `its header does not begin with {; not a safetensors file`);
  }
  let json: unknown;
  try {
    json = parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    refuseType(file, `its header is not valid JSON: ${(error as Error).message}`);
  }
  return json as Record<string, unknown>; // an object: it begins with {
}

function checkMetadata(entry: unknown, file: string): Record<string, string> {
  if (!isJsonObject(entry) || Object.values(entry).some((value) => typeof value !== "string")) {
    refuseType(file, "__metadata__ must map names to strings");
  }
  return entry as Record<string, string>;
}

function checkTensor(name: string, entry: unknown, dataStart: number, file: string): TensorInfo {
  const tensor = `tensor ${shown(name)}`;
  if (!isJsonObject(entry)) refuseType(file, `${tensor} must have dtype, shape and data_offsets`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string") refuseType(file, `${tensor} has no dtype`);
  if (!isDtype(dtype) && /^F[468]/.test(dtype)) {
    refuseType(
      file,
      `${tensor} is ${dtype}; float8 and quantised weights are not supported, ` +
        "use a file in F32, F16 or BF16",
    );
  }
  if (!isDtype(dtype)) {
    const known = Object.keys(DTYPE_BYTES).join(", ");
    refuseType(file, `${tensor} has unknown dtype ${shown(dtype)}; known are ${known}`);
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    refuseType(
      file,
      `${tensor} has shape ${shown(shape)}; sizes must be whole numbers of at least 0`,
    );
  }
  const product = shape.reduce((a, b) => a * BigInt(b), 1n);
  const bytes = product * BigInt(DTYPE_BYTES[dtype]);
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) {
    refuse(file, `${tensor} has shape ${shown(shape)}, ${product} elements; too many`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    refuseType(
      file,
      `${tensor} has data_offsets ${shown(offsets)}; ` +
        "two whole numbers of at least 0 are needed",
    );
  }
  const [begin, end] = offsets as [number, number];
  if (end < begin) refuse(file, `${tensor} has data_offsets [${begin}, ${end}], end before begin`);
  if (BigInt(end - begin) !== bytes) {
    refuse(
      file,
      `${tensor} spans ${end - begin} bytes, but shape ${shown(shape)} of ${dtype} ` +
        `takes ${bytes}`,
    );
  }
  const elements = Number(product);
  return { name, dtype, shape, elements, begin: dataStart + begin, end: dataStart + end };
}

function checkLayout(infos: TensorInfo[], dataStart: number, fileBytes: number, file: string) {
  infos.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = dataStart;
  let before = "the header";
  for (const { name, begin, end } of infos) {
    const tensor = `tensor ${shown(name)}`;
    if (begin < at) refuse(file, `${tensor} overlaps ${before} by ${at - begin} bytes`);
    if (begin > at) {
      refuse(file, `${begin - at} bytes between ${before} and ${tensor} are nobody's`);
    }
    if (end > fileBytes) {
      refuse(
        file,
        `${tensor} ends at byte ${end}, but the file has ${fileBytes}; truncated or wrong offsets`,
      );
    }
    at = end;
    before = tensor;
  }
  if (at !== fileBytes) refuse(file, `${fileBytes - at} bytes after ${before} are nobody's`);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
