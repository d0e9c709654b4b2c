import type { Node } from "../graph/node.ts";
import type { Linear } from "../layers/linear.ts";
import type { Context, Sequence } from "../layers/site.ts";
import { slice } from "../ops/concat.ts";
import { selectToken } from "../ops/select_token.ts";
import type { ModelInputs, Trace } from "./model.ts";

/** What a decoder-only classifier is made of, behind its embeddings. */
export interface DecoderParts {
  readonly blocks: readonly {
    apply(x: Node, sequence: Sequence, context: Context): { hidden: Node; weights: Node };
  }[];
  readonly norm: { apply(x: Node): Node };
  readonly score: Linear;
}

/**
 * Runs a decoder's blocks and reads each text's last token by its head.
 *
 * @param embedded [B, T, C], what the first block reads.
 * @returns Logits [B, classes].
 */
export function scoreLastToken(
  embedded: Node,
  sequence: Sequence,
  { blocks, norm, score }: DecoderParts,
  { ids, last }: ModelInputs,
  context: Context,
  trace?: Trace,
): Node {
  let x = embedded;
  blocks.forEach((block, i) => {
    const result = block.apply(x, sequence, context);
    x = result.hidden;
    trace?.set(`attention.${i}`, result.weights);
    trace?.set(`hidden.${i + 1}`, x);
  });
  x = norm.apply(x);
  trace?.set(`hidden.${blocks.length}`, x);
  // Positions of the text begin behind what a method put in front.
  const { added } = sequence;
  const own = added === 0 ? x : slice(x, 1, added, ids.shape[1]);
  return score.apply(selectToken(own, last!), context);
}
