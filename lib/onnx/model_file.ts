/**
 * ONNX files: a graph with its parameters' values, as `onnx.proto` (IR version 8) writes them.
 *
 * @module
 */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type AttributeProto,
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  type TensorProto,
  TensorProto_DataLocation as DataLocation,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { writeFileAtomic } from "../formats/atomic.ts";
import {
  ONNX_TYPES,
  type OnnxAttribute,
  type OnnxData,
  type OnnxGraph,
  type OnnxPort,
} from "../graph/onnx.ts";
import { type Affine, elements, formatShape } from "../graph/shape.ts";

/** Names of the files in a folder. */
export const ONNX_FILE = "model.onnx";
/** Where parameters lie that do not fit into {@linkcode ONNX_FILE}. */
export const ONNX_DATA_FILE = "model.onnx_data";

/**
 * Bytes of parameters above which they go to a file of their own: a protobuf message ends at 2 GiB,
 * and the graph needs a little of them.
 */
export const EXTERNAL_ABOVE = 2 ** 31 - 2 ** 26;

/** The IR version that operator set 17 came with. */
const IR_VERSION = 8n;

/** Where external tensors start: memory mapping wants whole pages. */
const PAGE = 4096;

/** Numbers of fields in onnx.proto that are written here by hand, so that weights are not copied. */
const FIELD = { modelGraph: 7, graphInitializer: 5, tensorRawData: 9 };

/** What is written besides the graph. */
export interface OnnxFileOptions {
  /** Values of the graph's parameters, by name. */
  readonly values: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
  /** Name of the graph. */
  readonly name: string;
  /** Version of this package. */
  readonly version: string;
  /** `metadata_props`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** {@linkcode EXTERNAL_ABOVE} unless given. */
  readonly externalAbove?: number;
}

/** A tensor that the file stores: what describes it, and its bytes. */
interface Stored {
  readonly head: TensorProto;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Writes a graph to {@linkcode ONNX_FILE} of a folder, and its parameters there or, where they are
 * too many, to {@linkcode ONNX_DATA_FILE}. Each file appears whole, the one with the data first.
 *
 * @returns Names of the files.
 * @throws RangeError naming a parameter without values, TypeError one of another size.
 */
export async function writeOnnx(
  folder: string,
  graph: OnnxGraph,
  options: OnnxFileOptions,
): Promise<string[]> {
  const { values, externalAbove = EXTERNAL_ABOVE } = options;
  const parameters = graph.parameters.map(({ name, shape }): Stored => {
    const data = values.get(name);
    if (data === undefined) throw new RangeError(`Cannot write ONNX: ${name} has no values`);
    if (data.length !== elements(shape)) {
      throw new TypeError(
        `Cannot write ONNX: ${name} has ${data.length} values, not those of ${formatShape(shape)}`,
      );
    }
    return { head: tensorHead(name, ONNX_TYPES.float, shape), bytes: bytesOf(data) };
  });
  const total = parameters.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const [model, data] = [`${folder}/${ONNX_FILE}`, `${folder}/${ONNX_DATA_FILE}`];
  // An older model must not meet newer data, or the other way round.
  await removeIfThere(model);
  await removeIfThere(data);
  if (total <= externalAbove) {
    await writeFileAtomic(model, modelPieces(graph, parameters, options));
    return [ONNX_FILE];
  }
  const { heads, pieces } = external(parameters);
  await writeFileAtomic(data, pieces);
  await writeFileAtomic(model, modelPieces(graph, heads, options));
  return [ONNX_FILE, ONNX_DATA_FILE];
}

/**
 * Reads `metadata_props` of an ONNX file.
 *
 * @throws Error where there is no such file, TypeError where it is not an ONNX model.
 */
export async function readOnnxMetadata(path: string): Promise<Record<string, string>> {
  const bytes = await Deno.readFile(path);
  try {
    const { metadataProps } = fromBinary(ModelProtoSchema, bytes);
    return Object.fromEntries(metadataProps.map(({ key, value }) => [key, value]));
  } catch (error) {
    throw new TypeError(`Cannot read ${path}: it is not an ONNX model`, { cause: error });
  }
}

/** The bytes of a model, in order. */
function modelPieces(
  { opset, inputs, outputs, nodes, constants }: OnnxGraph,
  parameters: readonly Stored[],
  { name, version, metadata }: OnnxFileOptions,
): Uint8Array[] {
  const around = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    producerName: "tunegrid",
    producerVersion: version,
    opsetImport: [{ domain: "", version: BigInt(opset) }],
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  });
  const graph = create(GraphProtoSchema, {
    name,
    node: nodes.map(({ operator, inputs, output, attributes }) =>
      create(NodeProtoSchema, {
        name: output,
        opType: operator,
        input: [...inputs],
        output: [output],
        attribute: Object.entries(attributes).map(([key, value]) => attributeOf(key, value)),
      })
    ),
    input: inputs.map(portOf),
    output: outputs.map(portOf),
  });
  const stored = [
    ...constants.map(({ name, type, shape, data }): Stored => ({
      head: tensorHead(name, ONNX_TYPES[type], shape),
      bytes: bytesOf(data),
    })),
    ...parameters,
  ];
  const inside = [
    toBinary(GraphProtoSchema, graph),
    ...stored.flatMap((tensor) => {
      const pieces = tensorPieces(tensor);
      return [prefix(FIELD.graphInitializer, pieces), ...pieces];
    }),
  ];
  return [toBinary(ModelProtoSchema, around), prefix(FIELD.modelGraph, inside), ...inside];
}

function tensorPieces({ head, bytes }: Stored): Uint8Array[] {
  const start = toBinary(TensorProtoSchema, head);
  if (bytes.length === 0) return [start];
  return [start, prefix(FIELD.tensorRawData, [bytes]), bytes];
}

/** What stands before a field of so many bytes. */
function prefix(field: number, pieces: readonly Uint8Array[]): Uint8Array {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(length).finish();
}

/** Tensors that lie in the data file, and its bytes: each starts at a page. */
function external(
  parameters: readonly Stored[],
): { heads: Stored[]; pieces: Uint8Array<ArrayBuffer>[] } {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  const heads = parameters.map(({ head, bytes }): Stored => {
    const place = { location: ONNX_DATA_FILE, offset: `${offset}`, length: `${bytes.length}` };
    const padding = new Uint8Array((PAGE - bytes.length % PAGE) % PAGE);
    pieces.push(bytes, padding);
    offset += bytes.length + padding.length;
    return {
      head: {
        ...head,
        dataLocation: DataLocation.EXTERNAL,
        externalData: Object.entries(place).map(([key, value]) => ({
          $typeName: "onnx.StringStringEntryProto",
          key,
          value,
        })),
      },
      bytes: new Uint8Array(),
    };
  });
  return { heads, pieces };
}

function tensorHead(name: string, dataType: number, shape: readonly number[]): TensorProto {
  return create(TensorProtoSchema, { name, dataType, dims: shape.map(BigInt) });
}

/** Little-endian, as every machine that Deno runs on has it and `raw_data` wants it. */
function bytesOf(data: OnnxData): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

function attributeOf(name: string, value: OnnxAttribute): AttributeProto {
  if (typeof value === "number") {
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  }
  if (typeof value === "string") {
    const s = new TextEncoder().encode(value);
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s });
  }
  if ("float" in value) {
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  }
  return create(AttributeProtoSchema, {
    name,
    type: AttributeType.INTS,
    ints: value.map(BigInt),
  });
}

/** What the symbols of a task's inputs are called in files. */
const AXES: Readonly<Record<string, string>> = { B: "batch", T: "length" };

function portOf({ name, type, shape }: OnnxPort): ValueInfoProto {
  const dim = shape.map((one) => ({
    value: typeof one === "number"
      ? { case: "dimValue" as const, value: BigInt(one) }
      : { case: "dimParam" as const, value: axisName(one) },
  }));
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: { case: "tensorType", value: { elemType: ONNX_TYPES[type], shape: { dim } } },
    },
  });
}

function axisName({ symbol, plus }: Affine): string {
  const name = AXES[symbol] ?? symbol;
  return plus === 0 ? name : `${name} + ${plus}`;
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
