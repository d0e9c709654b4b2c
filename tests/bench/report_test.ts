import { assert, assertEquals } from "@std/assert";
import { benchHost } from "../../bench/host.ts";
import { peakOf } from "../../bench/peak.ts";
import { formatMarkdown, formatTable, jsonLines, type Row, versions } from "../../bench/report.ts";
import { openGpu } from "../../lib/gpu/device.ts";

Deno.test("a fresh measurement becomes lines of JSON, each whole by itself", async () => {
  const gpu = await openGpu();
  try {
    const options = { filter: "", quick: true, sizes: false, print: () => {} };
    const rows = await benchHost(gpu, options);
    const on = { adapter: gpu.adapter.description, ...versions() };
    const time = new Date().toISOString();
    const lines = jsonLines("host", time, on, rows).trimEnd().split("\n").map((line) =>
      JSON.parse(line)
    );
    assertEquals(lines.map(({ what }) => what), [
      "encode 300 launches",
      "submit 300 launches",
      "both 300 launches",
    ]);
    for (const line of lines) {
      assertEquals([line.bench, line.time, line.deno], ["host", time, Deno.version.deno]);
      assertEquals(line.adapter, gpu.adapter.description);
      assert(line["median ms"] > 0 && line["best ms"] <= line["median ms"], JSON.stringify(line));
      assert(line["± %"] >= 0);
    }
    assertEquals(await benchHost(gpu, { ...options, filter: "matmul" }), []);
    const { gflops, gbps } = await peakOf(gpu);
    assert(gflops > 0.1 && gbps > 0.01, `${gflops} GFLOP/s, ${gbps} GB/s`);
    assertEquals(await peakOf(gpu), { gflops, gbps });
  } finally {
    gpu.destroy();
  }
});

const rows: Row[] = [
  { what: "a", ms: 1234.5, share: 0.12345 },
  { what: "b|c", ms: 2, share: 0.000012345, note: "late" },
];

Deno.test("a table holds every column of any line, numbers to the right with three digits", () => {
  assertEquals(formatTable(rows).split("\n"), [
    "what    ms      share  note",
    "a     1235      0.123",
    "b|c      2  0.0000123  late",
  ]);
});

Deno.test("a table of Markdown keeps what would end a cell", () => {
  const [head, rule, first, second] = formatMarkdown(rows).split("\n");
  assertEquals(head, "| what | ms | share | note |");
  assertEquals(rule, "| --- | ---: | ---: | --- |");
  assertEquals(first, ["|", "a", "|", "1235", "|", "0.123", "|", "", "|"].join(" "));
  assertEquals(second, "| b\\|c | 2 | 0.0000123 | late |");
});
