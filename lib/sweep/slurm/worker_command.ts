import config from "../../../deno.json" with { type: "json" };
import { ONNX_RUNTIME_FOLDER } from "../../infer/onnx_runtime.ts";

/** Options that name what a task reads or, `--out`, writes. */
const PLACES = ["base", "data", "start", "experiment", "out"];

/** Sets that a script's cells run under, named as the script is. */
const SETS = ["sweep", "experiment"] as const;

type TaskSet = typeof SETS[number];

/**
 * The command that an array task runs, but for `--cells`: this script under its task's permission set
 * alone, which the launcher extends in the same way by the folders that the words name.
 *
 * @param words The script's words, without the executor's options; paths from the project's folder.
 * @param script The script's path; absolute.
 * @returns Program and arguments.
 * @throws {TypeError} Where the script has no permission set
 * @throws {Error} Where a path has a comma
 */
export async function workerCommand(
  words: readonly string[],
  script: string = decodeURIComponent(new URL(Deno.mainModule).pathname),
): Promise<string[]> {
  const root = Deno.cwd();
  const name = script.slice(script.lastIndexOf("/") + 1, -".ts".length);
  if (!SETS.includes(name as TaskSet)) {
    throw new TypeError(
      `Cannot use --executor slurm with ${script}: its tasks need a permission set of deno.json; ` +
        `use ${SETS.join(" or ")}`,
    );
  }
  const set = config.permissions[name as TaskSet];
  const [read, write]: string[][] = [[], []];
  for (const [option, path] of places(words)) {
    const absolute = path.startsWith("/") ? path : `${root}/${path}`;
    const real = await realPath(absolute);
    const both = real === absolute ? [real] : [real, absolute];
    const within = option === "out" ? set.write.map((folder) => `${root}/${folder}`) : [root];
    if (within.some((folder) => real === folder || real.startsWith(`${folder}/`))) continue;
    if (both.some((one) => one.includes(","))) {
      throw new Error(
        `Cannot open ${path}: Deno takes no comma in a permission's path; use another folder`,
      );
    }
    read.push(...both);
    if (option === "out") write.push(...both);
  }
  const onnx = valueOf(words, "eval-backend") === "ort";
  return [
    Deno.execPath(),
    ...["run", "-q", "--no-prompt"],
    ...onnx ? ["--node-modules-dir=auto", "--lock=deno.onnx.lock"] : [],
    `-P=${name}`,
    ...read.length > 0 ? [`--allow-read=${[...set.read, ...read]}`] : [],
    ...write.length > 0 ? [`--allow-write=${[...set.write, ...write]}`] : [],
    ...onnx ? [`--allow-ffi=${ONNX_RUNTIME_FOLDER}`] : [],
    script.startsWith(`${root}/`) ? script.slice(root.length + 1) : script,
    ...words,
  ];
}

/** Options with the paths that they name, in order; what names no path is left out. */
function places(words: readonly string[]): [option: string, path: string][] {
  return words.flatMap((word, i): [string, string][] => {
    const [, option, inline] = /^--([a-z-]+)(?:=(.*))?$/s.exec(word) ?? [];
    const path = inline ?? words[i + 1];
    if (!PLACES.includes(option) || !path || /^(embedded$|hf:|glue:)/.test(path)) return [];
    return [[option, path]];
  });
}

function valueOf(words: readonly string[], option: string): string | undefined {
  const index = words.findLastIndex((word) =>
    word === `--${option}` || word.startsWith(`--${option}=`)
  );
  return words[index]?.includes("=") ? words[index].split("=")[1] : words[index + 1];
}

/** A path with links resolved as far as it exists. */
async function realPath(path: string): Promise<string> {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  for (let kept = parts.length; kept > 0; kept--) {
    try {
      const real = await Deno.realPath("/" + parts.slice(0, kept).join("/"));
      return [real, ...parts.slice(kept)].join("/");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return path;
}
