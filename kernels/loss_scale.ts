import { type Kernel, kernel } from "./kernel.ts";

/**
 * Dynamic loss scaling: loss_scale = (scale, steps since it changed, steps skipped so far).
 *
 * After a step whose gradients were finite, the scale grows by `growth` if that was the `interval`-th
 * in a row; after another, which changed nothing, it is multiplied by `backoff`. It stays at least
 * 2⁻¹²⁶, so that a forward pass that overflows by itself does not make it 0.
 * clip: [4] as `clip_coefficient` leaves it.
 *
 * Source: Micikevicius et al., "Mixed Precision Training", 2018, §3.2; the numbers are PyTorch's.
 */
export const lossScaleKernel: Kernel = kernel({
  name: "update_loss_scale",
  reads: { clip: "f32" },
  writes: { loss_scale: "f32" },
  params: { growth: "f32", backoff: "f32", interval: "u32" },
  tune: { wg: 1 },
  workgroups: () => 1,
  body: () =>
    `  if (clip[2] == 0.0) {
    loss_scale[0] = max(loss_scale[0] * p.backoff, 0x1p-126f);
    loss_scale[1] = 0.0;
    loss_scale[2] = loss_scale[2] + 1.0;
    return;
  }
  let steps = loss_scale[1] + 1.0;
  let grows = u32(steps) >= p.interval;
  loss_scale[0] = select(loss_scale[0], loss_scale[0] * p.growth, grows);
  loss_scale[1] = select(steps, 0.0, grows);`,
});
