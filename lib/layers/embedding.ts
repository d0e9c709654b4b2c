import type { Node } from "../graph/node.ts";
import { embedding } from "../ops/embedding.ts";
import type { Initializer, Scope } from "./scope.ts";
import type { Context, EmbedSite, Sequence } from "./site.ts";

/** A token embedding, [vocabulary, width], whose looked-up sequence is a site. */
export class TokenEmbedding {
  readonly weight: Node;
  readonly site: EmbedSite;

  /** Declares the table `<path>.weight` and the site. */
  constructor(
    scope: Scope,
    path: string,
    vocabulary: number,
    width: number,
    initializer: Initializer,
  ) {
    const table = `${path}.weight`;
    this.weight = scope.parameter(table, [vocabulary, width], initializer);
    this.site = { kind: "embed", path, width, table, transforms: [] };
    scope.sites.push(this.site);
  }

  /** ids: u32 [B, T] to [B, T, width]; without the site's transforms. */
  lookup(ids: Node): Node {
    return embedding(this.weight, ids);
  }

  /** ids: u32 [B, T] and mask [B, T] to a sequence, transforms applied. */
  apply(ids: Node, mask: Node, context: Context): Sequence {
    const plain: Sequence = {
      hidden: this.lookup(ids),
      mask,
      length: ids.shape[1],
      added: 0,
      start: 0,
    };
    return this.site.transforms.reduce(
      (sequence, transform) => transform(sequence, context),
      plain,
    );
  }
}
