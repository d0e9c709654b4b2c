import { rewrite, type Rewritten } from "./rewrite.ts";

/**
 * Puts in the place of operations that need memory between their launches what computes them, so that
 * the plan gives it to them. It is part of what a program computes, not of making it cheaper.
 */
export function expand(program: Rewritten): Rewritten {
  return rewrite(program, (_, over) => over.op.expand?.(over) ?? over);
}
