import { parseDuration } from "../parse_duration.ts";

/** How a sweep's cells are handed to Slurm. */
export interface SlurmOptions {
  /** Cells of one array task. */
  readonly pack: number;
  /** Array tasks that may run at once; null for no limit. */
  readonly throttle: number | null;
  /** Lines of options for sbatch, without `#SBATCH`, such as `--partition=gpu`. */
  readonly directives: readonly string[];
  /** How often a cell whose task ended without a result is submitted again. */
  readonly resubmit: number;
  /** Seconds between two looks at the queue. */
  readonly poll: number;
  /** Whether the command ends once the job is submitted. */
  readonly detach: boolean;
}

/** A command line, split into what is run and where. */
export interface Executor {
  /** What is left: the experiment's words. */
  readonly words: string[];
  /** Null where this process runs the cells. */
  readonly slurm: SlurmOptions | null;
  /** Ids of the cells that this process takes, as the batch script names them; null for all. */
  readonly cells: string[] | null;
}

/** The part of `--help` about them. */
export const slurmUsage =
  `On a Slurm cluster, by ./tunegrid, which lets it run sbatch, squeue and scancel:
  --executor local|slurm        slurm: submits the cells that lack a result as a job array (local)
  --pack N (1)          cells of each array task         --throttle N    tasks at once (no limit)
  --partition NAME      --time LIMIT                     --gres LIST     as sbatch takes them
  --sbatch "..."        further options for sbatch, for instance "--account=a --mem=8G"; repeatable
  --resubmit N (2)      how often a cell is submitted again whose task ended without a result
  --poll 15s            how often the queue is looked at
  --detach              ends once the job is submitted; the same command later watches it
  --cells ID,...        runs these cells alone, and writes no table: for array tasks`;

/** Options with a value; what of them sbatch takes by the same name. */
const VALUES = ["executor", "pack", "throttle", "sbatch", "resubmit", "poll", "cells"];
const DIRECTIVES = ["partition", "time", "gres"];

/**
 * Takes the executor's options out of a command line.
 *
 * @throws {TypeError} When an option lacks its value, or has no meaning without `--executor slurm`
 * @throws {RangeError} When a value breaks its rule
 */
export function takeExecutor(args: readonly string[]): Executor {
  const words: string[] = [];
  const given = new Map<string, string[]>();
  for (let i = 0; i < args.length; i++) {
    const [, name, inline] = /^--([a-z]+)(?:=(.*))?$/s.exec(args[i]) ?? [];
    if (name === "detach" && inline === undefined) {
      given.set(name, [""]);
    } else if (name !== undefined && [...VALUES, ...DIRECTIVES].includes(name)) {
      const value = inline ?? args[++i];
      if (value === undefined || value === "") {
        throw new TypeError(`Cannot use --${name} without a value`);
      }
      if (/[\r\n]/.test(value)) throw new RangeError(`Cannot use --${name}: must be one line`);
      given.set(name, [...given.get(name) ?? [], value]);
    } else words.push(args[i]);
  }
  const last = (name: string): string | undefined => given.get(name)?.at(-1);
  const executor = last("executor") ?? "local";
  if (executor !== "local" && executor !== "slurm") {
    throw new RangeError(`Cannot use --executor ${executor}: must be local or slurm`);
  }
  const cells = last("cells")?.split(",") ?? null;
  const wrong = [...given.keys()].find((name) =>
    executor === "slurm" ? name === "cells" : name !== "executor" && name !== "cells"
  );
  if (wrong !== undefined) {
    throw new TypeError(
      executor === "slurm"
        ? `Cannot use --cells with --executor slurm: the cells that lack a result are submitted`
        : `Cannot use --${wrong} without --executor slurm`,
    );
  }
  if (executor === "local") return { words, slurm: null, cells };
  const count = (name: string, least: number): number | null => {
    const text = last(name);
    if (text === undefined) return null;
    if (!/^\d+$/.test(text) || Number(text) < least) {
      throw new RangeError(`Cannot use --${name} ${text}: must be a whole number from ${least}`);
    }
    return Number(text);
  };
  const slurm: SlurmOptions = {
    pack: count("pack", 1) ?? 1,
    throttle: count("throttle", 1),
    directives: [
      ...DIRECTIVES.flatMap((name) => {
        const value = last(name);
        return value === undefined ? [] : [`--${name}=${value}`];
      }),
      ...given.get("sbatch") ?? [],
    ],
    resubmit: count("resubmit", 0) ?? 2,
    poll: parseDuration(last("poll") ?? "15s", "--poll"),
    detach: given.has("detach"),
  };
  return { words, slurm, cells };
}
