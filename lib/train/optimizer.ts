/**
 * The update program: clipping by global norm, then AdamW or Adafactor on every parameter, then the
 * next step. Norm and AdamW take one launch each for all parameters together, and all of it one launch
 * where these are small.
 *
 * @module
 */

import type { Values } from "../gpu/session.ts";
import { variable, variableAttributes } from "../graph/leaves.ts";
import type { Node } from "../graph/node.ts";
import { adafactor } from "../ops/adafactor.ts";
import { adamw } from "../ops/adamw.ts";
import { advance } from "../ops/advance.ts";
import { clipCoefficient, clipVariable, gradNormPartials } from "../ops/grad_norm.ts";
import { lossScaleVariable, type LossScaling, updateLossScale } from "../ops/loss_scale.ts";
import { isSmall, smallUpdate } from "../ops/small_update.ts";
import { type ScheduleTable, scheduleTable } from "./schedule.ts";

/** What {@linkcode buildUpdate} needs. */
export interface UpdateOptions extends ScheduleTable {
  /** Trainable variables. */
  readonly parameters: readonly Node[];
  /** What steps; AdamW unless given. Adafactor has no use for β1, β2 and {@link epsilon}. */
  readonly optimizer?: "adamw" | "adafactor";
  /** Whether Adafactor multiplies the rate by a parameter's root mean square; not unless given. */
  readonly scaleParameter?: boolean;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** What the decay touches: everything, or neither vectors (biases, norms) nor {@link vectors}. */
  readonly decay: "matrices" | "all";
  /** Parameters with rows that are vectors in their own right (prompts), not matrices. */
  readonly vectors?: ReadonlySet<Node>;
  /** Largest global gradient norm; null leaves gradients as they are. */
  readonly clipNorm: number | null;
  /** Factor on a parameter's learning rate; 1 unless given. */
  readonly rate?: (parameter: Node) => number;
  /** Losses that are kept on the device, at least 2 (see `record`); 256 unless given. */
  readonly capacity?: number;
  /** How the loss is scaled for the backward pass; null or absent where it is not. */
  readonly lossScaling?: LossScaling | null;
  /** Before the names of all variables that are not a parameter's; none unless given. */
  readonly prefix?: string;
}

/** The update program's nodes. */
export interface Update {
  /** Roots of the update program, in order. */
  readonly roots: readonly Node[];
  /** Gradient variable of each parameter, `<name>.grad`: what backward programs add into. */
  readonly gradients: ReadonlyMap<Node, Node>;
  /** Variable `step`, u32 [1]: optimizer steps so far; the update program advances it. */
  readonly step: Node;
  /** Variable `losses` [capacity]; backward programs `record` into it. */
  readonly losses: Node;
  /** Variable `clip` [4]; see `clipCoefficient`. */
  readonly clip: Node;
  /** Variable `loss_scale` [3], see `updateLossScale`; null where the loss is not scaled. */
  readonly lossScale: Node | null;
  /** Values to upload before the first step, by name; all other variables start at zero. */
  readonly initial: ReadonlyMap<string, Values>;
}

/**
 * Builds the update program of a run, with all variables that it needs.
 *
 * A step whose gradients are not finite leaves parameters and moments as they are and counts: the
 * learning rate's schedule moves on. Where the loss is scaled, so that such steps are expected, the
 * corrections of Adam's moments do not, as they count updates (both as in PyTorch).
 *
 * @throws RangeError where there is nothing to train, no step, or a name occurs twice.
 */
export function buildUpdate(options: UpdateOptions): Update {
  const { parameters, steps, clipNorm, decay, vectors, rate, capacity = 256 } = options;
  const { lossScaling = null, prefix = "" } = options;
  const names = parameters.map((parameter) => variableAttributes(parameter).name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (parameters.length === 0 || steps < 1 || twice !== undefined) {
    throw new RangeError(
      `Cannot build an update of ${parameters.length} parameters over ${steps} steps${
        twice === undefined ? "" : `: ${twice} occurs twice`
      }; it takes at least one of each, and each parameter once`,
    );
  }
  const like = (parameter: Node, suffix: string, role: "gradient" | "optimizer") => {
    const { name, shape } = variableAttributes(parameter);
    return variable(`${name}.${suffix}`, shape, role);
  };
  const gradients = new Map(parameters.map((p) => [p, like(p, "grad", "gradient")]));
  const step = variable(`${prefix}step`, [1], "control", "u32");
  const schedule = variable(`${prefix}schedule`, [steps, 4], "control");
  const losses = variable(`${prefix}losses`, [capacity], "control");

  const tensors = parameters.map((parameter) => {
    const matrix = parameter.shape.length > 1 && !vectors?.has(parameter);
    return {
      parameter,
      gradient: gradients.get(parameter)!,
      weightDecay: decay === "all" || matrix ? options.weightDecay : 0,
      rate: rate?.(parameter),
    };
  });
  const lossScale = lossScaling === null ? null : lossScaleVariable(prefix);
  const { optimizer = "adamw", scaleParameter = false, beta1, beta2, epsilon } = options;
  const adam = () => ({
    tensors: tensors.map((tensor) => ({
      ...tensor,
      first: like(tensor.parameter, "first_moment", "optimizer"),
      second: like(tensor.parameter, "second_moment", "optimizer"),
    })),
    ...{ schedule, step, beta1, beta2, epsilon },
  });
  const inLaunches = () => {
    const partials = gradNormPartials([...gradients.values()], prefix);
    const clip = clipCoefficient(partials, clipNorm, lossScale ?? undefined, prefix);
    const updated = optimizer === "adafactor"
      ? tensors.map((tensor) => adafactor({ ...tensor, schedule, step, clip, scaleParameter }))
      : [adamw({ ...adam(), clip })];
    const scale = lossScale === null ? [] : [updateLossScale(lossScale, clip, lossScaling!)];
    return { clip, roots: [...updated, advance(step), ...scale] };
  };
  const atOnce = () => {
    const clip = clipVariable(prefix);
    return { clip, roots: [smallUpdate({ ...adam(), clip, maxNorm: clipNorm })] };
  };
  const small = optimizer === "adamw" && lossScale === null && isSmall(parameters);
  const { clip, roots } = small ? atOnce() : inLaunches();
  return {
    roots,
    gradients,
    step,
    losses,
    clip,
    lossScale,
    initial: new Map<string, Values>([
      [`${prefix}step`, new Uint32Array(1)],
      [`${prefix}schedule`, scheduleTable(options)],
      ...(lossScaling === null
        ? []
        : [[`${prefix}loss_scale`, Float32Array.of(lossScaling.initial, 0, 0)] as const]),
    ]),
  };
}
