import { ioReason } from "../formats/io_error.ts";

/** The files of a data set's splits; a split is one file, or the Parquet parts of one, in order. */
export interface SplitFiles {
  /** Paths of the training split. */
  readonly train: readonly string[];
  /** Paths of the validation split, where there is one. */
  readonly validation?: readonly string[];
  /** Several where a folder has them; the one with labels is used. */
  readonly test?: readonly (readonly string[])[];
}

const ROLES: Readonly<Record<keyof SplitFiles, RegExp>> = {
  train: /^train$/,
  validation: /^(dev|validation|valid|val)$/,
  test: /^test([-_].*)?$/,
};

const DATA_FILE = /(\.tsv|\.csv|\.tsv\.gz|\.csv\.gz|\.parquet)$/;

/** The Hub's names of parts, such as `train-00000-of-00002.parquet`; some carry a digest. */
const PART = /^(.+)-(\d{5})-of-(\d{5})(-[0-9a-f]{16})?(\.parquet)$/;

/** The files of one name: one, or all parts of it. */
interface Candidate {
  readonly split: string;
  readonly files: readonly string[];
}

/**
 * Finds the splits in a folder by GLUE's names: `train`, `dev` (or `validation`, `valid`, `val`),
 * and `test` (or `test-…`), each `.tsv` or `.csv`, plain or `.gz`, or `.parquet`, whole or in parts
 * (`train-00000-of-00002.parquet`). Where it has none of these, its folder `data` is looked into. A
 * path to a single file is a training split alone.
 *
 * @throws {Error} If the folder cannot be read, has no training split, two files for one split, or
 * not all parts of one.
 */
export async function findSplits(path: string): Promise<SplitFiles> {
  const found = await dataFiles(path);
  if (found === null) return { train: [path] };
  let { names } = found;
  let dir = path;
  if (names.length === 0 && found.folders.includes("data")) {
    dir = `${path.replace(/\/$/, "")}/data`;
    names = (await dataFiles(dir))?.names ?? [];
  }
  const candidates = join(names, dir);
  const of = (role: keyof SplitFiles): Candidate[] =>
    candidates.filter(({ split }) => ROLES[role].test(split));
  const single = (role: "train" | "validation"): readonly string[] | undefined => {
    const [one, other] = of(role);
    if (other === undefined) return one?.files;
    throw new Error(
      `Cannot read data ${path}: ${nameOf(one)} and ${nameOf(other)} could both be the ${role} ` +
        "split; remove one or name the files",
    );
  };
  const train = single("train");
  if (train === undefined) {
    const folders = found.folders.length > 0
      ? `, and the folders ${found.folders.join(", ")}: name one of them`
      : "";
    throw new Error(
      `Cannot read data ${path}: no train.tsv, train.csv, train.tsv.gz, train.csv.gz or ` +
        `train.parquet there; found ${names.join(", ") || "no such files"}${folders}`,
    );
  }
  return { train, validation: single("validation"), test: of("test").map(({ files }) => files) };
}

/** Data files and folders of a folder, sorted; null where the path is a file. */
async function dataFiles(path: string): Promise<{ names: string[]; folders: string[] } | null> {
  const names: string[] = [];
  const folders: string[] = [];
  try {
    if ((await Deno.stat(path)).isFile) return null;
    for await (const { name, isDirectory } of Deno.readDir(path)) {
      if (isDirectory && !name.startsWith(".")) folders.push(name);
      else if (DATA_FILE.test(name)) names.push(name);
    }
  } catch (error) {
    throw new Error(`Cannot read data ${path}: ${ioReason(error)}`, { cause: error });
  }
  return { names: names.sort(), folders: folders.sort() };
}

/** Puts the parts of one split together. */
function join(names: readonly string[], dir: string): Candidate[] {
  const groups = new Map<string, { split: string; count: number; files: string[] }>();
  for (const name of names) {
    const [, split, , count] = PART.exec(name) ?? [];
    const key = split === undefined ? name : `${split}/${count}`;
    const group = groups.get(key) ??
      { split: split ?? name.replace(DATA_FILE, ""), count: Number(count ?? 1), files: [] };
    group.files.push(`${dir}/${name}`);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ split, count, files }) => {
    if (files.length === count) return { split, files };
    throw new Error(
      `Cannot read data ${dir}: the split ${split} has ${count} parts, found ${files.length}; ` +
        "put all of them there",
    );
  });
}

function nameOf({ files }: Candidate): string {
  return files[0].slice(files[0].lastIndexOf("/") + 1);
}
