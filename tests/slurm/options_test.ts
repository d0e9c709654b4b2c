import { assertEquals, assertThrows } from "@std/assert";
import { takeExecutor } from "../../lib/sweep/slurm/options.ts";

Deno.test("takeExecutor() takes the executor's options out of a command line", () => {
  const rest = ["--methods", "full lora", "--seeds=0,1"];
  assertEquals(takeExecutor(rest), { words: rest, slurm: null, cells: null });
  assertEquals(takeExecutor([...rest, "--cells", "aa,bb"]), {
    words: rest,
    slurm: null,
    cells: ["aa", "bb"],
  });
  const defaults = {
    ...{ pack: 1, throttle: null, directives: [], resubmit: 2, poll: 15, detach: false },
  };
  assertEquals(takeExecutor(["--executor=slurm", ...rest]), {
    words: rest,
    slurm: defaults,
    cells: null,
  });
  const all = ["--pack", "4", "--throttle=2", "--resubmit", "0", "--poll", "1m", "--detach"];
  const placed = ["--gres", "gpu:1", "--partition=gpu", "--time", "1:00:00"];
  const further = ["--sbatch", "--account=a --mem=8G", "--sbatch=--exclusive"];
  assertEquals(
    takeExecutor([...all, "--executor", "slurm", rest[0], rest[1], ...placed, ...further, rest[2]]),
    {
      words: rest,
      slurm: {
        ...{ pack: 4, throttle: 2, resubmit: 0, poll: 60, detach: true },
        directives: [
          ...["--partition=gpu", "--time=1:00:00", "--gres=gpu:1"],
          ...["--account=a --mem=8G", "--exclusive"],
        ],
      },
      cells: null,
    },
  );
});

Deno.test("takeExecutor() refuses what has no meaning", () => {
  const slurm = ["--executor", "slurm"];
  const cases: [string[], ErrorConstructor, string][] = [
    [["--executor", "local2"], RangeError, "--executor local2: must be local or slurm"],
    [["--executor"], TypeError, "Cannot use --executor without a value"],
    [["--partition", "gpu"], TypeError, "Cannot use --partition without --executor slurm"],
    [["--detach"], TypeError, "Cannot use --detach without --executor slurm"],
    [[...slurm, "--cells", "aa"], TypeError, "Cannot use --cells with --executor slurm"],
    [[...slurm, "--pack", "0"], RangeError, "--pack 0: must be a whole number from 1"],
    [[...slurm, "--throttle=x"], RangeError, "--throttle x: must be a whole number from 1"],
    [[...slurm, "--resubmit", "-1"], RangeError, "--resubmit -1: must be a whole number from 0"],
    [[...slurm, "--poll", "5"], RangeError, 'Cannot use --poll "5": must be a time'],
    [[...slurm, "--time", "1\nrm"], RangeError, "Cannot use --time: must be one line"],
  ];
  for (const [args, kind, message] of cases) assertThrows(() => takeExecutor(args), kind, message);
});
