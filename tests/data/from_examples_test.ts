import { assertEquals, assertThrows } from "@std/assert";
import { datasetFrom, type LabelledText } from "../../lib/data/from_examples.ts";

const texts = (label: string, count: number): LabelledText[] =>
  Array.from({ length: count }, (_, i) => ({ text: `  ${label}   ${i}`, label }));

Deno.test("datasetFrom() cleans texts, sorts labels and keeps the splits that it is given", () => {
  const data = datasetFrom({
    train: [{ text: " a  text ", label: "10" }, { text: "b", label: "9" }],
    validation: [{ text: "c", label: "10" }],
    test: [{ text: "d", label: "9" }],
  });
  assertEquals(data.labels, ["9", "10"]);
  assertEquals(data.train, [{ text: "a text", label: 1, id: 0 }, { text: "b", label: 0, id: 1 }]);
  assertEquals(data.validation, [{ text: "c", label: 1, id: 0 }]);
  assertEquals(data.test, [{ text: "d", label: 0, id: 0 }]);
  assertEquals(data.source.split, undefined);
});

Deno.test("datasetFrom() splits a tenth off where there is no validation, in proportion", () => {
  const train = [...texts("a", 30), ...texts("b", 10)];
  const data = datasetFrom({ train });
  assertEquals([data.train.length, data.validation.length, data.test], [36, 4, undefined]);
  assertEquals(data.validation.filter(({ label }) => label === 0).length, 3);
  assertEquals(data.source.split, { ratio: 0.1, seed: 0 });
  assertEquals(datasetFrom({ train }).digest, data.digest);
  assertEquals(
    new Set([...data.train, ...data.validation].map(({ text }) => text)).size,
    train.length,
  );
});

Deno.test("datasetFrom() names the text that it cannot use", () => {
  const train = [...texts("a", 2), ...texts("b", 2)];
  assertThrows(
    () => datasetFrom({ train, validation: [{ text: "x", label: "c" }] }),
    RangeError,
    'Cannot use validation text 0: unknown label "c"; known are a, b',
  );
  assertThrows(
    () => datasetFrom({ train: [...train, { text: " ", label: "a" }], validation: [] }),
    RangeError,
    "Cannot use train text 4: its text is empty",
  );
  assertThrows(() => datasetFrom({ train: texts("a", 3) }), RangeError, "2 to 1000 classes");
});
