/**
 * How an update goes over many tensors in one launch.
 *
 * The tensors lie side by side, each from a multiple of 64 elements on, with zeros between them. The
 * table `blocks` cuts them into blocks, one workgroup each, and has a row for each block:
 * (first vec4 of the block, counted over all tensors; vec4s in it; bits of its tensor's decay; bits of
 * its tensor's factor on the learning rate).
 *
 * The upper half of a row's second number is free: it is where the cell of a tensor can stand, so that
 * one launch updates many cells.
 *
 * @module
 */

/** Elements of a block at most; only the last of a tensor has fewer. */
export const UPDATE_BLOCK = 4096;
