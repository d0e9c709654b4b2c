import { writeFileAtomic } from "./atomic.ts";
import { ioReason } from "./io_error.ts";
import { type Dtype, DTYPE_BYTES, isFloat, toFloat32 } from "./safetensors_dtype.ts";
import {
  headerLength,
  parseHeader,
  type SafetensorsHeader,
  type TensorInfo,
} from "./safetensors_header.ts";

export { parseHeader, type SafetensorsHeader, type TensorInfo } from "./safetensors_header.ts";
export type { Dtype } from "./safetensors_dtype.ts";

const CHUNK = 1 << 24; // bytes read at once while converting

/** Elements that can be written, with the dtype that each array type becomes. */
export type TensorData =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | Int32Array
  | Uint32Array
  | Uint8Array;

/** A tensor in memory, row-major. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** An open safetensors file whose tensors are read when asked for. */
export interface SafetensorsFile {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Names of all tensors, sorted. */
  names(): string[];
  /**
   * Kind and place of one tensor.
   * @throws {RangeError} If there is none of this name.
   */
  info(name: string): TensorInfo;
  /**
   * A tensor's elements as f32, row-major.
   * @throws {TypeError} If its elements are not floating-point numbers.
   */
  read(name: string): Promise<Float32Array<ArrayBuffer>>;
  /**
   * Some of a tensor's elements as f32, read before this returns.
   *
   * @param from The first element, row-major.
   * @param to The one after the last.
   * @throws {TypeError} If its elements are not floating-point numbers.
   * @throws {RangeError} If it has no such elements.
   * @throws {Error} If the file changed since it was opened.
   */
  readPart(name: string, from: number, to: number): Float32Array<ArrayBuffer>;
  /** A tensor's bytes as they stand in the file. */
  readRaw(name: string): Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Opens a safetensors file: its header is read and checked, no tensor is read yet.
 *
 * @throws {Error} If the file cannot be read.
 * @throws {RangeError|TypeError} If its header is wrong (see {@linkcode parseHeader}).
 */
export async function readSafetensors(path: string): Promise<SafetensorsFile> {
  const { tensors, metadata, version } = await readHeader(path);
  const info = (name: string): TensorInfo => {
    const found = tensors.get(name);
    if (found !== undefined) return found;
    throw new RangeError(
      `Cannot read ${path}: it has no tensor ${JSON.stringify(name)}; found ${listed(tensors)}`,
    );
  };
  return {
    path,
    metadata,
    names: () => [...tensors.keys()].sort(),
    info,
    read: (name) => readFloats(path, info(name)),
    readPart: (name, from, to) => readFloatsPart(path, version, info(name), from, to),
    readRaw: async (name) => {
      const { begin, end } = info(name);
      const bytes = new Uint8Array(end - begin);
      await withFile(path, (file) => readAt(file, begin, bytes));
      return bytes;
    },
  };
}

/**
 * The bytes of a safetensors file; equal tensors and metadata give equal bytes.
 *
 * Tensors stand by element size, largest first, then by name, so that each one is aligned; the
 * header is padded with spaces to a multiple of 8 bytes.
 *
 * @throws {TypeError} If a shape does not fit its data.
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer>[] {
  const entries = [...tensors].map(([name, { shape, data }]) => {
    const elements = shape.reduce((a, b) => a * b, 1);
    if (name === "__metadata__" || elements !== data.length || !shape.every(Number.isInteger)) {
      throw new TypeError(
        `Cannot write tensor ${JSON.stringify(name)}: shape [${shape}] has ${elements} elements, ` +
          `data ${data.length}; they must be equal and the name other than __metadata__`,
      );
    }
    return { name, shape, data, dtype: dtypeOf(data) };
  });
  entries.sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype] || (a.name < b.name ? -1 : 1));
  return [encodeHeader(entries, metadata), ...entries.map(({ data }) => bytesOf(data))];
}

/**
 * What stands before the tensors' bytes, for a writer that streams them.
 *
 * @param tensors In the order of their bytes, without gaps; larger elements first, so that each one is
 *   aligned.
 */
export function encodeHeader(
  tensors: readonly Pick<TensorInfo, "name" | "dtype" | "shape">[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header: [string, unknown][] = [];
  const notes = Object.entries(metadata).sort(([a], [b]) => a < b ? -1 : 1);
  if (notes.length > 0) header.push(["__metadata__", Object.fromEntries(notes)]);
  let at = 0;
  for (const { name, dtype, shape } of tensors) {
    const bytes = shape.reduce((a, b) => a * b, DTYPE_BYTES[dtype]);
    header.push([name, { dtype, shape, data_offsets: [at, at += bytes] }]);
  }
  // Written pair by pair: an object would put names that look like numbers first.
  const json = header.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  const text = new TextEncoder().encode(`{${json.join(",")}}`);
  const head = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(text, 8);
  return head;
}

/**
 * Writes a safetensors file atomically, with the bytes of {@linkcode encodeSafetensors}.
 *
 * @throws {TypeError} If a shape does not fit its data.
 * @throws {Error} If the file cannot be written.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeFileAtomic(path, encodeSafetensors(tensors, metadata));
}

async function readHeader(path: string): Promise<SafetensorsHeader & { version: string }> {
  return await withFile(path, async (file) => {
    const stat = await file.stat();
    const { size } = stat;
    const start = new Uint8Array(Math.min(8, size));
    await readAt(file, 0, start);
    const head = new Uint8Array(8 + headerLength(start, size, path));
    await readAt(file, 0, head);
    return { ...parseHeader(head, size, path), version: versionOf(stat) };
  });
}

async function readFloats(path: string, info: TensorInfo): Promise<Float32Array<ArrayBuffer>> {
  const { dtype, elements, begin } = info;
  checkFloat(path, info);
  const out = new Float32Array(elements);
  const size = DTYPE_BYTES[dtype];
  await withFile(path, async (file) => {
    const chunk = new Uint8Array(Math.min(CHUNK, elements * size));
    for (let i = 0; i < elements; i += CHUNK / size) {
      const part = out.subarray(i, i + CHUNK / size);
      const bytes = chunk.subarray(0, part.length * size);
      await readAt(file, begin + i * size, bytes);
      convert(info, bytes, part);
    }
  });
  return out;
}

function readFloatsPart(
  path: string,
  version: string,
  info: TensorInfo,
  from: number,
  to: number,
): Float32Array<ArrayBuffer> {
  const { name, dtype, elements, begin } = info;
  checkFloat(path, info);
  if (!(Number.isInteger(from) && Number.isInteger(to) && 0 <= from && from <= to)) {
    throw new RangeError(`Cannot read elements ${from} to ${to} of tensor ${JSON.stringify(name)}`);
  }
  if (to > elements) {
    throw new RangeError(
      `Cannot read elements ${from} to ${to} of tensor ${JSON.stringify(name)}: it has ${elements}`,
    );
  }
  const out = new Float32Array(to - from);
  const size = DTYPE_BYTES[dtype];
  try {
    using file = Deno.openSync(path);
    if (versionOf(file.statSync()) !== version) {
      throw new RangeError("it changed since it was opened; open it again");
    }
    file.seekSync(begin + from * size, Deno.SeekMode.Start);
    const chunk = new Uint8Array(Math.min(CHUNK, out.length * size));
    for (let i = 0; i < out.length; i += CHUNK / size) {
      const part = out.subarray(i, i + CHUNK / size);
      const bytes = chunk.subarray(0, part.length * size);
      for (let done = 0; done < bytes.length;) {
        const n = file.readSync(bytes.subarray(done));
        if (n === null) throw new RangeError("it ends too early; truncated");
        done += n;
      }
      convert(info, bytes, part);
    }
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${ioReason(error)}`, { cause: error });
  }
  return out;
}

/** Tells whether a file is still what it was. */
function versionOf({ size, mtime, ino }: Deno.FileInfo): string {
  return `${size} ${mtime?.getTime()} ${ino}`;
}

function checkFloat(path: string, { name, dtype }: TensorInfo): void {
  if (isFloat(dtype)) return;
  throw new TypeError(
    `Cannot read tensor ${JSON.stringify(name)} of ${path} as f32: its elements are ${dtype}`,
  );
}

function convert(
  { name, dtype }: TensorInfo,
  bytes: Uint8Array<ArrayBuffer>,
  out: Float32Array<ArrayBuffer>,
): void {
  try {
    toFloat32(dtype, bytes, out);
  } catch (error) {
    throw new RangeError(`tensor ${JSON.stringify(name)}: ${(error as Error).message}`);
  }
}

async function withFile<T>(path: string, use: (file: Deno.FsFile) => Promise<T>): Promise<T> {
  try {
    using file = await Deno.open(path);
    return await use(file);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("Cannot read")) throw error;
    throw new Error(`Cannot read ${path}: ${ioReason(error)}`, { cause: error });
  }
}

async function readAt(file: Deno.FsFile, offset: number, into: Uint8Array): Promise<void> {
  await file.seek(offset, Deno.SeekMode.Start);
  for (let done = 0; done < into.length;) {
    const n = await file.read(into.subarray(done));
    if (n === null) {
      throw new RangeError(
        `it ends at byte ${offset + done}, ${into.length - done} too early; truncated`,
      );
    }
    done += n;
  }
}

function dtypeOf(data: TensorData): Dtype {
  if (data instanceof Float32Array) return "F32";
  if (data instanceof Float64Array) return "F64";
  if (data instanceof BigInt64Array) return "I64";
  if (data instanceof Int32Array) return "I32";
  if (data instanceof Uint32Array) return "U32";
  return "U8";
}

function bytesOf(data: TensorData): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

function listed(tensors: ReadonlyMap<string, unknown>): string {
  const names = [...tensors.keys()].sort();
  const rest = names.length > 8 ? ` and ${names.length - 8} more` : "";
  return names.slice(0, 8).join(", ") + rest || "none";
}
