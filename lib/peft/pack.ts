/**
 * Several methods on one model at once, each on its own share of the rows: cells in one program.
 *
 * The model stays as it is, and what is frozen works on all rows together. Each cell's method is
 * attached to shadows of the model's sites; the model's own site gets one transform, which takes the
 * rows apart, applies each cell's transforms to its share, and joins the shares again.
 *
 * @module
 */

import type { Node } from "../graph/node.ts";
import { type Dim, formatShape, sameShape } from "../graph/shape.ts";
import { linear } from "../layers/linear.ts";
import { Scope } from "../layers/scope.ts";
import type {
  BlockSite,
  Context,
  EmbedSite,
  KeyValues,
  KeyValueSite,
  LinearSite,
  Sequence,
  Site,
} from "../layers/site.ts";
import { joinRows, rows, type Shares } from "../ops/rows.ts";
import { type Attachable, type Attached, attachMethod, type Method } from "./method.ts";
import type { MethodOptions } from "./method.ts";

/** One cell's method, and its options as {@linkcode Method.parse} returns them. */
export interface PackedMethod {
  readonly method: Method;
  readonly options: MethodOptions;
}

/** What stands before the names of a cell's variables. */
export function cellPrefix(index: number): string {
  return `cells.${index}/`;
}

/**
 * Why a method cannot share a program with others; null where it can.
 *
 * Where all of the base trains, or all of its biases, there is nothing that cells could share.
 */
export function unpackable({ name, trains }: Method): string | null {
  return trains === "head" || trains === "nothing"
    ? null
    : `${name} trains the base itself, so that nothing of it could be shared`;
}

/**
 * Attaches one method for each cell to a freshly built model, before its forward pass is called.
 *
 * The rows of the model's inputs are the cells' shares in order, `share` rows each. A cell's
 * parameters have their own names, and variables under {@linkcode cellPrefix}; a classification head
 * that trains is each cell's own.
 *
 * @param share Rows of one cell; the model's rows are as many times that as there are cells.
 * @returns What each cell's method alone would be, its counts among it.
 * @throws RangeError where the model lacks what a method changes, or a method cannot be packed; and,
 *   in the forward pass, where methods change the length of a sequence differently.
 */
export function attachPack(
  model: Attachable,
  methods: readonly PackedMethod[],
  share: Dim,
): Attached[] {
  const shadows: Site[][] = [];
  const attached = methods.map(({ method, options }, index) => {
    const reason = unpackable(method);
    if (reason !== null) {
      throw new RangeError(`Cannot pack cells: ${reason}; run it alone`);
    }
    const scope = shadowScope(model, method, index);
    shadows.push(scope.sites);
    const { head, encode } = model;
    return attachMethod({ scope, head, encode }, method, options, new Scope(cellPrefix(index)));
  });
  model.scope.sites.forEach((site, i) => {
    const cells = new Cells(share, shadows.map((sites) => sites[i]), site);
    if (site.kind === "linear") packLinear(site, cells as Cells<LinearSite>);
    else if (site.kind === "kv") packKeyValues(site, cells as Cells<KeyValueSite>);
    else if (site.kind === "embed") packEmbedding(site, cells as Cells<EmbedSite>);
    else packBlock(site, cells as Cells<BlockSite>);
  });
  return attached;
}

/** The model's scope with sites of a cell's own, and with its own head where that trains. */
function shadowScope(model: Attachable, method: Method, index: number): Scope {
  const heads = new Set(method.trains === "head" ? model.head : []);
  const scope = new Scope(cellPrefix(index));
  for (const parameter of model.scope.select()) {
    const { name, shape, initializer } = parameter;
    if (heads.has(name)) scope.parameter(name, shape, initializer);
    else scope.parameters.set(name, parameter);
  }
  const own = (site: LinearSite, part: "weight" | "bias") =>
    scope.parameters.get(`${site.path}.${part}`)?.node ?? site[part];
  scope.sites.push(
    ...model.scope.sites.map((site): Site =>
      site.kind !== "linear" ? { ...site, transforms: [] } : {
        ...site,
        weight: own(site, "weight")!,
        bias: own(site, "bias"),
        inputTransforms: [],
        transforms: [],
      }
    ),
  );
  const missing = [...heads].find((name) =>
    !model.scope.sites.some(({ kind, path }) => kind === "linear" && name.startsWith(`${path}.`))
  );
  if (missing !== undefined) {
    throw new RangeError(`Cannot pack cells: ${missing} trains and is no linear site's`);
  }
  return scope;
}

/** The cells' shadows of one site. */
class Cells<S extends Site> {
  readonly #shares: Shares;
  readonly #site: Site;
  readonly shadows: readonly S[];

  constructor(share: Dim, shadows: readonly S[], site: Site) {
    this.#shares = { of: shadows.length, count: share };
    this.shadows = shadows;
    this.#site = site;
  }

  /** Every cell's share of some rows. Taken at once, their gradients become one tensor. */
  split(x: Node): Node[] {
    return this.shadows.map((_, index) => rows(x, index, this.#shares));
  }

  /** Rows of all cells, from their shares; as many as `like` has. */
  join(parts: readonly Node[], like: Node): Node {
    const odd = parts.find(({ shape }) => !sameShape(shape, parts[0].shape));
    if (odd !== undefined) {
      throw new RangeError(
        `Cannot pack cells: at ${this.#site.path} one has ${
          formatShape(parts[0].shape)
        } and another ${formatShape(odd.shape)}; pack cells that change the sequence alike`,
      );
    }
    return joinRows(parts.map((part, index) => ({ index, part })), like.shape[0], this.#shares);
  }

  /** What each cell makes of its share. */
  each<T>(context: Context, change: (shadow: S, index: number, context: Context) => T): T[] {
    return this.shadows.map((shadow, index) =>
      change(shadow, index, context.cell?.(index) ?? context)
    );
  }
}

/** Where the cell has a weight of its own, its share of the output is that weight's. */
function packLinear(site: LinearSite, cells: Cells<LinearSite>): void {
  const { shadows } = cells;
  if (shadows.some(({ inputTransforms }) => inputTransforms.length > 0)) {
    site.inputTransforms.push((x, context) => {
      const inputs = cells.split(x);
      const changed = cells.each(
        context,
        ({ inputTransforms }, index, own) =>
          inputTransforms.reduce((input, transform) => transform(input, own), inputs[index]),
      );
      return cells.join(changed, x);
    });
  }
  const isOwn = ({ weight, bias }: LinearSite) => weight !== site.weight || bias !== site.bias;
  if (!shadows.some((shadow) => isOwn(shadow) || shadow.transforms.length > 0)) return;
  site.transforms.push((x, y, context) => {
    const [inputs, outputs] = [cells.split(x), cells.split(y)];
    const changed = cells.each(context, (shadow, index, own) => {
      const { weight, bias, layout, transforms } = shadow;
      const output = isOwn(shadow)
        ? linear(inputs[index], weight, { bias }, layout)
        : outputs[index];
      return transforms.reduce(
        (output, transform) => transform(inputs[index], output, own),
        output,
      );
    });
    return cells.join(changed, y);
  });
}

function packBlock(site: BlockSite, cells: Cells<BlockSite>): void {
  if (!cells.shadows.some(({ transforms }) => transforms.length > 0)) return;
  site.transforms.push((output, residual, context) => {
    const [outputs, residuals] = [cells.split(output), cells.split(residual)];
    const changed = cells.each(
      context,
      ({ transforms }, index, own) =>
        transforms.reduce((y, transform) => transform(y, residuals[index], own), outputs[index]),
    );
    return cells.join(changed, output);
  });
}

function packKeyValues(site: KeyValueSite, cells: Cells<KeyValueSite>): void {
  if (!cells.shadows.some(({ transforms }) => transforms.length > 0)) return;
  site.transforms.push(({ keys, values, mask }, context) => {
    const own = {
      keys: cells.split(keys),
      values: cells.split(values),
      masks: mask && cells.split(mask),
    };
    const changed = cells.each(context, ({ transforms }, index, context) => {
      const plain: KeyValues = {
        keys: own.keys[index],
        values: own.values[index],
        mask: own.masks?.[index],
      };
      return transforms.reduce((kv, transform) => transform(kv, context), plain);
    });
    return {
      keys: cells.join(changed.map(({ keys }) => keys), keys),
      values: cells.join(changed.map(({ values }) => values), values),
      mask: mask && cells.join(changed.map(({ mask }) => mask!), mask),
    };
  });
}

function packEmbedding(site: EmbedSite, cells: Cells<EmbedSite>): void {
  if (!cells.shadows.some(({ transforms }) => transforms.length > 0)) return;
  site.transforms.push((sequence, context) => {
    const [hidden, masks] = [cells.split(sequence.hidden), cells.split(sequence.mask)];
    const changed = cells.each(context, ({ transforms }, index, own) => {
      const plain: Sequence = { ...sequence, hidden: hidden[index], mask: masks[index] };
      return transforms.reduce((one, transform) => transform(one, own), plain);
    });
    const [{ length, added, start }] = changed;
    const odd = changed.find((one) => one.added !== added || one.start !== start);
    if (odd !== undefined) {
      throw new RangeError(
        `Cannot pack cells: one puts ${added} tokens in front and starts at ${start}, another ` +
          `${odd.added} and ${odd.start}; pack cells that change the sequence alike`,
      );
    }
    const unchanged = changed.every((one, index) => one.hidden === hidden[index]);
    return {
      hidden: unchanged
        ? sequence.hidden
        : cells.join(changed.map(({ hidden }) => hidden), sequence.hidden),
      mask: unchanged ? sequence.mask : cells.join(changed.map(({ mask }) => mask), sequence.mask),
      length,
      added,
      start,
    };
  });
}
