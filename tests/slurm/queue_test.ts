import { assertEquals, assertThrows } from "@std/assert";
import { parseQueue } from "../../lib/sweep/slurm/queue.ts";

const task = (job: string, index: number, state: string, reason: string) => ({
  ...{ name: "tunegrid-ab", job, index, state, reason },
});

Deno.test("parseQueue() reads tasks, one by one or waiting together", () => {
  assertEquals(parseQueue(""), []);
  assertEquals(
    parseQueue(
      "12_[3-5,9%2]|tunegrid-ab|PENDING|JobArrayTaskLimit\n" +
        "12_0|tunegrid-ab|RUNNING|None\n12_2|tunegrid-ab|COMPLETING|a|b\n",
    ),
    [
      ...[3, 4, 5, 9].map((index) => task("12", index, "PENDING", "JobArrayTaskLimit")),
      task("12", 0, "RUNNING", "None"),
      task("12", 2, "COMPLETING", "a|b"),
    ],
  );
  assertEquals(parseQueue("7_[0-6:3]|a|PENDING|").map(({ index }) => index), [0, 3, 6]);
  assertEquals(parseQueue("7_[1]|a|PENDING|")[0].index, 1);
});

Deno.test("parseQueue() refuses lines that are no task of an array", () => {
  for (const line of ["12|a|RUNNING|None", "error", "12_[1...]|a|PENDING|x", "12_1"]) {
    assertThrows(() => parseQueue(line), Error, "must be the task of an array");
  }
});
