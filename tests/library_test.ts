/** The package as a stranger's program sees it: what importing costs, and README's program. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../deno.json" with { type: "json" };

const root = Deno.cwd();
const entries = Object.entries(config.exports).map(([name, path]) =>
  [`${config.name}${name.slice(1)}`, path] as const
);

interface Info {
  roots: string[];
  redirects: Record<string, string>;
  modules: {
    specifier: string;
    dependencies?: { isDynamic?: boolean; code?: { specifier?: string } }[];
  }[];
}

/** Modules that an import of some file loads: at once, and, where `dynamic`, at any time. */
async function loaded(file: string, dynamic: boolean): Promise<string[]> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", file],
    stderr: "null",
  }).output();
  assert(success, file);
  const { roots, redirects, modules }: Info = JSON.parse(new TextDecoder().decode(stdout));
  const byName = new Map(modules.map((module) => [module.specifier, module]));
  const seen = new Set<string>();
  const next = [...roots];
  while (next.length > 0) {
    const name = next.pop()!;
    const specifier = redirects[name] ?? name;
    if (seen.has(specifier)) continue;
    seen.add(specifier);
    for (const { isDynamic, code } of byName.get(specifier)?.dependencies ?? []) {
      if (code?.specifier !== undefined && (dynamic || !isDynamic)) next.push(code.specifier);
    }
  }
  return [...seen];
}

Deno.test("no import brings ONNX Runtime, the Hub's client or the embedded base", async () => {
  const heavy = /onnxruntime|@huggingface\/hub|data\/embedded\/(base|weights)/;
  for (const [name, path] of entries) {
    const modules = await loaded(path, false);
    assert(modules.filter((one) => one.includes("/lib/")).length > 5, name);
    assertEquals(modules.filter((one) => heavy.test(one)), [], name);
  }
  // That the walk would find them is seen from what is loaded when it is asked for.
  const later = await loaded("mod.ts", true);
  assert(later.some((one) => one.endsWith("/lib/data/embedded/weights.ts")));
});

/** A configuration under which programs outside of the project import the package by its name. */
async function strangersConfig(folder: string): Promise<string> {
  const path = `${folder}/deno.json`;
  const own = entries.map(([name, path]) => [name, `file://${root}/${path.slice(2)}`]);
  await Deno.writeTextFile(
    path,
    JSON.stringify({
      imports: { ...config.imports, ...Object.fromEntries(own) },
      links: config.links.map((path) => `${root}/${path}`),
      lock: false,
    }),
  );
  return path;
}

/** Runs a program in a folder of its own. */
async function run(
  program: string,
  { files = {}, permissions = [] }: {
    files?: Readonly<Record<string, string>>;
    /** Flags; FOLDER stands for the program's folder. */
    permissions?: readonly string[];
  } = {},
): Promise<{ code: number; lines: string[]; errors: string }> {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    for (const [name, text] of Object.entries({ ...files, "main.ts": program })) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-q", "--check", "--no-prompt", "--cached-only"],
        ...["--config", await strangersConfig(folder)],
        ...permissions.map((flag) => flag.replaceAll("FOLDER", folder)),
        "main.ts",
      ],
      cwd: folder,
      env: { NO_COLOR: "1" },
    }).output();
    const text = new TextDecoder().decode(stdout).trimEnd();
    return { code, lines: text.split("\n"), errors: new TextDecoder().decode(stderr) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("importing every entry point takes no permission and looks for no device", async () => {
  const watch = `
    export let looked = 0;
    const { gpu } = navigator;
    Object.defineProperty(navigator, "gpu", { get: () => (looked++, gpu) });
  `;
  const program = `
    import { looked } from "./watch.ts";
    ${entries.map(([name]) => `import ${JSON.stringify(name)};`).join("\n")}
    import { datasetFrom, openBase } from ${JSON.stringify(config.name)};
    console.log(looked);
    console.log((await openBase("embedded")).name, looked);
    console.log(datasetFrom({ train: [], validation: [], labels: ["a", "b"] }).labels.length);
  `;
  const { code, lines, errors } = await run(program, { files: { "watch.ts": watch } });
  assertEquals(code, 0, errors);
  assertEquals(lines, ["0", "embedded 0", "2"]);
});

/** Reviews of few words: what was reviewed, and praise or blame. */
function reviews(): string {
  const things = ["film", "plot", "cast", "music", "ending", "dialogue", "photography", "script"];
  const praise = [
    "superb",
    "charming",
    "delightful",
    "brilliant",
    "gripping",
    "splendid",
    "moving",
  ];
  const blame = ["dreadful", "stale", "tedious", "awful", "clumsy", "boring", "feeble"];
  const rows = things.flatMap((thing) =>
    praise.flatMap((word, i) => [
      `the ${thing} is ${word},positive`,
      `the ${thing} is ${blame[i]},negative`,
    ])
  );
  return ["review,verdict", ...rows].join("\n") + "\n";
}

Deno.test("README's program trains LoRA on a CSV file of its own and predicts", async () => {
  const page = await Deno.readTextFile("README.md");
  const [, program] = /```ts reviews\.ts\n([\s\S]*?)```/.exec(page) ?? [];
  assert(program !== undefined, "README.md has no reviews.ts");
  assert(program.trimEnd().split("\n").length < 20, "it has 20 lines or more");
  const { code, lines, errors } = await run(program, {
    files: { "reviews.csv": reviews() },
    permissions: ["--allow-read=FOLDER"],
  });
  assertEquals(code, 0, errors);
  assertEquals(lines.length, 8 + 2, lines.join("\n"));
  assertEquals(lines[7], "epoch 8: 100 %");
  assertMatch(lines[8], /^the soundtrack is superb: positive \((1\.00|0\.9\d)\)$/);
  assertMatch(lines[9], /^the last act is tedious: negative \((1\.00|0\.9\d)\)$/);
});
