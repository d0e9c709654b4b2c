/**
 * Where one cell stands: what its epochs led to, what it keeps, and how it is saved and continued.
 *
 * @module
 */

import type { Session, Values } from "../gpu/session.ts";
import { variableAttributes } from "../graph/leaves.ts";
import type { Node } from "../graph/node.ts";
import type { Tensor } from "../formats/safetensors.ts";
import type { Attached } from "../peft/method.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { fillIn } from "./fill_in.ts";
import { LOSS_CAPACITY } from "./graphs.ts";
import { initialValues } from "./initialize.ts";
import type { Update } from "./optimizer.ts";
import type {
  EpochDecision,
  EpochOutcome,
  LossScale,
  Scores,
  TrainOutcome,
  TrainRun,
} from "./run.ts";

/** Where training stands between two steps. */
export interface Position {
  readonly step: number;
  readonly epoch: number;
  /** Batches that are done of the epoch after these. */
  readonly batch: number;
}

/** What a cell's training has taken so far, seconds. */
export interface Elapsed {
  readonly trainSeconds: number;
  readonly seconds: number;
}

/** Where a cell ended before the last step that there is. */
interface CellEnd extends Pick<Position, "step" | "epoch"> {
  readonly paused: boolean;
  readonly trainSeconds: number;
}

/** Given by the run, and so no part of what training changes. */
const GIVEN = ["seed", "schedule"];

/** One cell of a session. */
export class CellProgress {
  readonly #run: TrainRun;
  readonly #session: Session;
  readonly #attached: Attached;
  readonly #update: Update | null;
  readonly #prefix: string;
  readonly #outcomes: EpochOutcome[] = [];
  #losses: number[] = [];
  #kept: Map<string, Float32Array<ArrayBuffer>> | null;
  #end: CellEnd | null = null;

  /**
   * Before the first step, or where a checkpoint left it; {@link start} comes next.
   *
   * @param attached What its method is attached as in the session's programs.
   * @param update Null where nothing trains.
   * @param prefix Before the names of its variables.
   */
  constructor(
    run: TrainRun,
    session: Session,
    attached: Attached,
    update: Update | null,
    prefix: string,
  ) {
    this.#run = run;
    this.#session = session;
    this.#attached = attached;
    this.#update = update;
    this.#prefix = prefix;
    this.#kept = run.resume?.kept ? valuesOf(run.resume.kept) : null;
  }

  /** Fills its variables in, and tells its run of the epochs that it has behind it. */
  async start(): Promise<void> {
    const { resume, seed, weights } = this.#run;
    const { trainable, delta } = this.#attached;
    for (const parameter of new Set([...trainable, ...delta.select()])) {
      const { name } = parameter;
      const variable = variableAttributes(parameter.node).name;
      if (weights.has(name)) await fillIn(this.#session, name, weights, variable);
      else this.#session.upload(variable, initialValues(parameter, seed, weights));
    }
    for (const [name, values] of this.#update?.initial ?? []) this.#session.upload(name, values);
    if (!resume) return;
    this.#restore(resume);
    this.#losses = [...resume.losses];
    for (const outcome of resume.outcomes) {
      this.#outcomes.push(outcome);
      const decision = this.#run.onEpoch?.(outcome); // what was kept, the checkpoint has
      this.#end = decision?.stop || decision?.pause ? endOf(resume, decision) : null;
    }
    if (this.#end?.paused === false) this.#kept ??= await this.#readTrained();
  }

  /** Whether it trains no further: it stopped, or was left to be gone on with later. */
  get ended(): boolean {
    return this.#end !== null;
  }

  /** Whether it ended before so many steps were done. */
  endedBefore(step: number): boolean {
    return this.#end !== null && this.#end.step < step;
  }

  /** Epochs after which it was left, to be gone on with later; null where it was not. */
  get pausedAfter(): number | null {
    return this.#end?.paused ? this.#end.epoch : null;
  }

  /** The variable of the last losses. */
  get losses(): string {
    return variableAttributes(this.#update!.losses).name;
  }

  /** Takes the losses of some steps from their variable's values; @returns the last. */
  takeLosses(losses: Float32Array, from: number, to: number): number {
    for (let step = from; step < to; step++) this.#losses.push(losses[step % LOSS_CAPACITY]);
    return this.#losses[this.#losses.length - 1];
  }

  /** Whether anything of it trains. */
  get trains(): boolean {
    return this.#update !== null;
  }

  /** Takes an epoch's scores: tells its run, and keeps and ends as that decides. */
  async endEpoch(now: Omit<CellEnd, "paused">, scores: Scores): Promise<void> {
    const { epoch } = now;
    const lossScale = await this.#readLossScale();
    const outcome = { epoch, losses: this.#losses, scores, ...lossScale && { lossScale } };
    this.#losses = [];
    const decision = this.#run.onEpoch?.(outcome);
    if (decision?.keep) this.#kept = await this.#readTrained();
    this.#outcomes.push(outcome);
    if (decision?.stop || decision?.pause) this.#end = endOf(now, decision);
    // Its neighbours may go on, and change what it has now.
    if (decision?.stop) this.#kept ??= await this.#readTrained();
  }

  /** Takes the only scores of a cell of which nothing trains. */
  async endUntrained(scores: Scores): Promise<void> {
    const none = { step: 0, epoch: 0, trainSeconds: 0 };
    await this.endEpoch(none, scores);
    this.#end = { ...none, paused: false };
  }

  /** Saves the cell. */
  async save({ step, epoch, batch }: Position, { trainSeconds, seconds }: Elapsed): Promise<void> {
    const shape = new Map(this.#attached.trainable.map(({ name, shape }) => [name, shape]));
    await this.#run.onCheckpoint!({
      ...{ step, epoch, batch, trainSeconds, seconds },
      outcomes: [...this.#outcomes],
      losses: [...this.#losses],
      variables: await this.#snapshot(),
      kept: this.#kept &&
        new Map([...this.#kept].map(([name, data]) => [name, { shape: shape.get(name)!, data }])),
    });
  }

  /** Puts the weights that are kept in place of those after the last step. */
  takeKept(): void {
    const names = this.#names();
    for (const [name, values] of this.#kept ?? []) this.#session.upload(names.get(name)!, values);
  }

  /** What it leaves, where it ended with the last step that there is or before. */
  async outcome(
    last: Omit<CellEnd, "paused">,
  ): Promise<Pick<TrainOutcome, "steps" | "epochs" | "trainSeconds" | "trained">> {
    const { step, epoch, trainSeconds } = this.#end ?? last;
    const values = this.#kept ?? await this.#readTrained();
    const { trainable } = this.#attached;
    return {
      steps: step,
      epochs: epoch,
      trainSeconds,
      trained: new Map(
        trainable.map(({ name, shape }) => [name, { shape, data: values.get(name)! }]),
      ),
    };
  }

  /** The variable of each parameter that trains. */
  #names(): Map<string, string> {
    return new Map(
      this.#attached.trainable.map(({ name, node }) => [name, variableAttributes(node).name]),
    );
  }

  async #readTrained(): Promise<Map<string, Float32Array<ArrayBuffer>>> {
    const names = this.#names();
    const values = await this.#session.readVariables([...names.values()]);
    return new Map([...names].map(([name, own]) => [name, values.get(own)!]));
  }

  async #readLossScale(): Promise<LossScale | null> {
    if (!this.#update?.lossScale) return null;
    const { name } = variableAttributes(this.#update.lossScale);
    const [scale, , skippedSteps] = (await this.#session.readVariables([name])).get(name)!;
    return { scale, skippedSteps };
  }

  /**
   * What training changes, by its name in a run alone: what trains (of the base, too), and the state
   * of its optimizer. Gradients are zero between steps; the rest is given by the run.
   */
  #changing(): Map<string, Node> {
    const state = [...this.#session.variables(["optimizer", "control"])]
      .filter(([name]) => name.startsWith(this.#prefix))
      .map(([name, node]) => [name.slice(this.#prefix.length), node] as const);
    return new Map([
      ...this.#attached.trainable.map(({ name, node }) => [name, node] as const),
      ...state.filter(([name]) => !GIVEN.includes(name)),
    ]);
  }

  async #snapshot(): Promise<Map<string, Tensor>> {
    const variables = this.#changing();
    const own = (node: Node) => variableAttributes(node).name;
    const values = await this.#session.readVariables([...variables.values()].map(own));
    return new Map([...variables].map(([name, node]) => {
      const { shape, dtype } = variableAttributes(node);
      const data = values.get(own(node))!;
      // Read back as f32 whatever it is: the bits count.
      return [name, { shape, data: dtype === "f32" ? data : new Uint32Array(data.buffer) }];
    }));
  }

  /** @throws TypeError where the checkpoint has other variables than the run. */
  #restore({ variables }: Checkpoint): void {
    const own = this.#changing();
    const odd = [...new Set([...own.keys(), ...variables.keys()])]
      .find((name) => !own.has(name) || !variables.has(name));
    if (odd !== undefined) {
      throw new TypeError(
        `Cannot go on from the checkpoint: run and checkpoint differ in variable ${odd}; remove ` +
          "the run's checkpoints to start it again",
      );
    }
    for (const [name, { data }] of variables) {
      this.#session.upload(variableAttributes(own.get(name)!).name, data as Values);
    }
  }
}

function endOf(
  { step, epoch, trainSeconds }: Omit<CellEnd, "paused">,
  { stop }: EpochDecision,
): CellEnd {
  return { step, epoch, trainSeconds, paused: !stop };
}

function valuesOf(tensors: ReadonlyMap<string, Tensor>): Map<string, Float32Array<ArrayBuffer>> {
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array<ArrayBuffer>]));
}
