/** A run was left between two epochs because its `onEpoch` said so; its checkpoint is saved. */
export class Paused extends Error {
  override name = "Paused";

  /** @param epoch Epochs that are complete. */
  constructor(readonly epoch: number) {
    super(`Paused after epoch ${epoch}; its checkpoint goes on from there`);
  }
}
