import { assert, assertEquals } from "@std/assert";

/** What each room may import besides itself, and, through these, what they may. */
const arrows: Record<string, readonly string[]> = {
  "kernels": [],
  "lib/graph": ["kernels"],
  "lib/gpu": ["lib/graph", "kernels"],
  "lib/ops": ["lib/graph", "lib/gpu", "kernels"],
  "lib/layers": ["lib/ops"],
  "lib/models": ["lib/layers"],
  "lib/peft": ["lib/layers"],
  "lib/data": ["lib/formats"],
  "lib/stats": ["lib/data"],
  "lib/formats": ["lib/data"],
  "lib/hub": ["lib/formats", "lib/data"],
  "lib/onnx": ["lib/graph", "lib/formats"],
  "lib/train": ["lib/models", "lib/peft", "lib/data", "lib/formats"],
  "lib/infer": ["lib/train", "lib/onnx"],
  "lib/sweep": ["lib/train", "lib/stats", "lib/infer", "lib/hub", "lib/onnx"],
  "lib/report": ["lib/sweep"],
  "lib/parity": ["lib/train"],
  "lib/std": [],
  "models.ts": ["lib/sweep"],
  "methods.ts": ["lib/sweep"],
  "train.ts": ["lib/sweep"],
  "sweep.ts": ["lib/sweep"],
  "infer.ts": ["lib/sweep"],
  "mod.ts": ["train.ts", "sweep.ts", "infer.ts"],
  "experiments": ["lib/sweep", "lib/report", "lib/parity"],
  "bench": ["experiments"],
  "tests": ["bench", "mod.ts"],
};

/** The room of a path below the project's folder, or null where it is in none. */
function room(path: string): string | null {
  const parts = path.split("/");
  const name = parts[0] === "lib" ? parts.slice(0, 2).join("/") : parts[0];
  return name in arrows ? name : null;
}

/** Everything that a room may import. */
function reach(name: string, seen = new Set<string>()): Set<string> {
  if (seen.has(name)) return seen;
  seen.add(name);
  for (const next of arrows[name]) reach(next, seen);
  return seen;
}

/** Module specifiers of a source text, those of types and of dynamic imports included. */
function specifiers(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const statement = /^\s*(?:import|export)\b[^"'`;]*?from\s*["']([^"']+)["']/gm;
  const bare = /^\s*import\s*["']([^"']+)["']/gm;
  const dynamic = /\bimport\s*\(\s*["']([^"']+)["']/g;
  return [statement, bare, dynamic].flatMap((form) =>
    [...code.matchAll(form)].map(([, specifier]) => specifier)
  );
}

/** Arrows of one file that run the wrong way, in words. */
function wrongArrows(file: string, source: string): string[] {
  const from = room(file);
  if (from === null) return [`${file} lies in no room: give it one in this test`];
  const allowed = reach(from);
  return specifiers(source).filter((specifier) => /^\.{0,2}\//.test(specifier)).flatMap((one) => {
    const target = new URL(one, `file:///${file}`).pathname.slice(1);
    if (target === "deno.json") return [];
    const to = room(target);
    if (to !== null && allowed.has(to)) return [];
    return [`${file} imports ${target}: ${from} may not import ${to ?? "what lies in no room"}`];
  });
}

function sources(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = folder === "." ? name : `${folder}/${name}`;
    if (name.startsWith(".") || path === "runs" || name === "node_modules") return [];
    if (isDirectory) return sources(path);
    return /\.[jt]sx?$/.test(name) ? [path] : [];
  });
}

Deno.test("every import runs in the direction of the design", () => {
  const files = sources(".").sort();
  assert(files.includes("lib/std/cli/mod.ts"), `${files.length} files found, none of lib/std/cli`);
  assertEquals(files.flatMap((file) => wrongArrows(file, Deno.readTextFileSync(file))), []);
});

Deno.test("an import against the direction is found in every form", () => {
  const path = JSON.stringify("../peft/lora.ts"); // not in place, or this file would be caught
  const forms = [
    `import { a } from ${path};`,
    `import type { A } from ${path};`,
    `import {\n  a,\n  type B,\n} from ${path};`,
    `export * from ${path};`,
    `export { a } from ${path.replaceAll('"', "'")};`,
    `import ${path};`,
    `const { a } = await import(${path});`,
    `let a: import(${path}).A;`,
  ];
  for (const source of forms) {
    assertEquals(wrongArrows("lib/models/t5.ts", source), [
      "lib/models/t5.ts imports lib/peft/lora.ts: lib/models may not import lib/peft",
    ], source);
    assertEquals(wrongArrows("lib/train/loop.ts", source), [], source);
  }
});

Deno.test("rooms keep to their own", () => {
  const wrong = (file: string, target: string) =>
    wrongArrows(file, `import "${target}";`).length > 0;
  assert(wrong("kernels/add.ts", "../lib/graph/node.ts"));
  assert(wrong("lib/graph/node.ts", "../gpu/device.ts"));
  assert(wrong("lib/peft/lora.ts", "../models/t5.ts"));
  assert(wrong("lib/formats/safetensors.ts", "../models/t5.ts"));
  assert(wrong("lib/sweep/main.ts", "../../experiments/sweep.ts"));
  assert(wrong("lib/train/loop.ts", "../sweep/main.ts"));
  assert(wrong("lib/data/dataset.ts", "../std/csv/mod.ts"));
  assert(wrong("lib/hub/snapshot.ts", "../train/loop.ts"));
  assert(wrong("lib/train/loop.ts", "../hub/snapshot.ts"));
  assert(wrong("tests/std/csv_test.ts", "../../lib/std/csv/mod.ts"));
  assert(wrong("experiments/sweep.ts", "../tests/fixtures.ts"));
  assert(wrong("lib/gpu/device.ts", "../../elsewhere/file.ts"));
  assert(!wrong("lib/gpu/device.ts", "../graph/node.ts"));
  assert(!wrong("lib/models/t5.ts", "../graph/node.ts"));
  assert(!wrong("lib/data/dataset.ts", "../formats/digest.ts"));
  assert(!wrong("lib/sweep/environment.ts", "../../deno.json"));
});
