/**
 * What was submitted for a folder of runs: a record and a script for each job, in its folder `slurm`.
 * A record is written before its job is submitted, and names it by a name of its own: where the process
 * is killed in between, the queue tells whether there is such a job.
 *
 * @module
 */

import { writeFileAtomic } from "../../formats/atomic.ts";
import { list, object, orNull, readShaped, type Shape, text } from "../../formats/json_shape.ts";

/** A job array that was submitted, or was about to be. */
export interface Submission {
  /** The job's name, which no other job has. */
  readonly name: string;
  /** The job's number; null until Slurm has told it. */
  readonly job: string | null;
  /** Ids of the cells of each array task. */
  readonly packs: readonly (readonly string[])[];
}

const shape: Shape = object({ name: text, job: orNull(text), packs: list(list(text)) });

const RECORD = /^tunegrid-[0-9a-f]{8}\.json$/;

/** A name for a job that no other has. */
export function newName(): string {
  return `tunegrid-${crypto.randomUUID().slice(0, 8)}`;
}

/** Writes a submission's record. */
export async function writeSubmission(folder: string, submission: Submission): Promise<void> {
  const json = JSON.stringify(submission, null, 2) + "\n";
  await writeFileAtomic(`${folder}/${submission.name}.json`, json);
}

/** Removes the record of a submission whose tasks have ended; script and logs stay. */
export async function forgetSubmission(folder: string, { name }: Submission): Promise<void> {
  await Deno.remove(`${folder}/${name}.json`);
}

/** The submissions whose end was not seen yet. */
export async function readSubmissions(folder: string): Promise<Submission[]> {
  const submissions: Submission[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (!RECORD.test(name)) continue;
    const submission = await readShaped<Submission>(`${folder}/${name}`, shape);
    if (submission !== null) submissions.push(submission);
  }
  return submissions;
}
