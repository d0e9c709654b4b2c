import { assertEquals } from "@std/assert";
import { EpochWatch } from "../../lib/train/epoch_watch.ts";

const epochs = [
  { accuracy: 0.6, f1: 0.5, evalLoss: 0.7 },
  { accuracy: 0.7, f1: 0.4, evalLoss: 0.6 },
  { accuracy: 0.7, f1: 0.6, evalLoss: 0.5 },
  { accuracy: 0.6, f1: 0.6, evalLoss: 0.4 },
  { accuracy: 0.8, f1: 0.1, evalLoss: 0.9 },
];

function follow(settings: ConstructorParameters<typeof EpochWatch>[0]) {
  const watch = new EpochWatch(settings);
  const decisions = epochs.map((epoch) => watch.next(epoch));
  return {
    keep: decisions.map(({ keep }) => Number(keep)).join(""),
    stop: decisions.map(({ stop }) => Number(stop)).join(""),
    best: epochs.indexOf(watch.best as typeof epochs[0]),
  };
}

Deno.test("EpochWatch keeps what is better, not what is equal, by its metric", () => {
  const keep = "best";
  const patience = null;
  assertEquals(follow({ metric: "accuracy", patience, keep }), {
    keep: "11001",
    stop: "00000",
    best: 4,
  });
  assertEquals(follow({ metric: "f1", patience, keep }), { keep: "10100", stop: "00000", best: 2 });
  assertEquals(follow({ metric: "loss", patience, keep }).keep, "11110");
  assertEquals(follow({ metric: "loss", patience, keep: "last" }).keep, "00000");
});

Deno.test("EpochWatch takes any epoch for better than one that diverged", () => {
  const watch = new EpochWatch({ metric: "loss", patience: 2, keep: "best" });
  const keeps = [NaN, NaN, 0.9, NaN].map((evalLoss) =>
    watch.next({ accuracy: 0.5, f1: 0.5, evalLoss }).keep
  );
  assertEquals([keeps, watch.best?.evalLoss], [[true, false, true, false], 0.9]);
});

Deno.test("EpochWatch stops after so many epochs without a better one", () => {
  const keep = "last";
  assertEquals(follow({ metric: "accuracy", patience: 2, keep }).stop, "00010");
  assertEquals(follow({ metric: "accuracy", patience: 3, keep }).stop, "00000");
  assertEquals(follow({ metric: "f1", patience: 1, keep }).stop, "01011");
});
