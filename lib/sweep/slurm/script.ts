/**
 * The batch script of a job array.
 *
 * @module
 */

import { shellWord } from "../shell_word.ts";

/** What a batch script is made of. */
export interface BatchJob {
  /** The job's name, which no other job has. */
  readonly name: string;
  /** Folder of the logs; absolute. */
  readonly folder: string;
  /** The project's folder; absolute. */
  readonly root: string;
  /** Ids of the cells of each array task. */
  readonly packs: readonly (readonly string[])[];
  /** Array tasks that may run at once; null for no limit. */
  readonly throttle: number | null;
  /** Lines of options for sbatch. */
  readonly directives: readonly string[];
  /** The program and its arguments, but for `--cells`. */
  readonly command: readonly string[];
  /** What the launcher found of the commit, for `run.json`; empty where it found nothing. */
  readonly commit: string;
}

/** Seconds before its time limit that a task is told to save its cell. */
export const NOTICE = 60;

/** How often one task may go on after its time limit: a cell that never comes further has an end. */
export const RESTARTS = 100;

/** The log of an array task. */
export function logPath(folder: string, job: string, index: number): string {
  return `${folder}/${job}_${index}.log`;
}

/**
 * A script for `sbatch`: an array of `packs.length` tasks, each of which runs its share of the cells.
 *
 * Its shell hands SIGTERM, of preemption or scancel, on to the cells' process, which saves its cell and
 * leaves; Slurm itself requeues what it preempts. Before the time limit Slurm sends SIGUSR1, upon which
 * the task does the same and requeues itself.
 */
export function batchScript(job: BatchJob): string {
  const { name, folder, root, packs, throttle, directives, command, commit } = job;
  const limit = throttle === null ? "" : `%${throttle}`;
  return `#!/bin/sh
#SBATCH --job-name=${name}
#SBATCH --array=0-${packs.length - 1}${limit}
#SBATCH --output=${directiveWord(`${folder.replaceAll("%", "%%")}/%A_%a.log`)}
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@${NOTICE}
${directives.map((line) => `#SBATCH ${line}\n`).join("")}
# Cells of a sweep, each with a folder in ${folder.slice(0, folder.lastIndexOf("/"))}
case $SLURM_ARRAY_TASK_ID in
${packs.map((ids, index) => `  ${index}) cells=${ids.join(",")} ;;\n`).join("")}esac
cd ${shellWord(root)} || exit 1
export TUNEGRID_COMMIT=${shellWord(commit)}

task= asked= again=
tell() { [ -z "$task" ] || kill -TERM "$task" 2>/dev/null; }
# SIGTERM: the running cell is saved, and the process leaves with 130.
trap 'asked=yes; tell' TERM INT
# Before the time limit: that, and once more from there.
trap 'asked=yes again=yes; tell' USR1

${command.map(shellWord).join(" \\\n  ")} \\
  --cells "$cells" &
task=$!
[ -z "$asked" ] || tell
code=0
while wait "$task"; code=$?; kill -0 "$task" 2>/dev/null; do :; done
if [ "$again" ] && [ "$code" -ge 128 ] && [ "\${SLURM_RESTART_COUNT:-0}" -lt ${RESTARTS} ]; then
  scontrol requeue "$SLURM_JOB_ID" && sleep 60
fi
exit "$code"
`;
}

/** A value as sbatch reads it in a line of its script. */
function directiveWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, "\\$&")}"`;
}
