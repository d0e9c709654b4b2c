import { ioReason } from "../formats/io_error.ts";

/** The files of a data set's splits. */
export interface SplitFiles {
  readonly train: string;
  readonly validation?: string;
  /** Several where a folder has them; the one with labels is used. */
  readonly test?: readonly string[];
}

const ROLES: Readonly<Record<keyof SplitFiles, RegExp>> = {
  train: /^train$/,
  validation: /^(dev|validation|valid|val)$/,
  test: /^test([-_].*)?$/,
};

/**
 * Finds the splits in a folder by GLUE's names: `train`, `dev` (or `validation`, `valid`, `val`),
 * and `test` (or `test-…`), each `.tsv` or `.csv`, plain or `.gz`. A path to a single file is a
 * training split alone.
 *
 * @throws {Error} If the folder cannot be read, has no training split, or two files for one split.
 */
export async function findSplits(path: string): Promise<SplitFiles> {
  const names: string[] = [];
  try {
    if ((await Deno.stat(path)).isFile) return { train: path };
    for await (const { name } of Deno.readDir(path)) {
      if (/\.(tsv|csv)(\.gz)?$/.test(name)) names.push(name);
    }
  } catch (error) {
    throw new Error(`Cannot read data ${path}: ${ioReason(error)}`, { cause: error });
  }
  names.sort();
  const of = (role: keyof SplitFiles): string[] =>
    names.filter((name) => ROLES[role].test(name.replace(/\.(tsv|csv)(\.gz)?$/, "")));
  const single = (role: "train" | "validation"): string | undefined => {
    const [name, other] = of(role);
    if (other === undefined) return name && `${path}/${name}`;
    throw new Error(
      `Cannot read data ${path}: ${name} and ${other} could both be the ${role} split; ` +
        "remove one or name the files",
    );
  };
  const train = single("train");
  if (train === undefined) {
    throw new Error(
      `Cannot read data ${path}: no train.tsv, train.csv, train.tsv.gz or train.csv.gz there; ` +
        `found ${names.join(", ") || "no such files"}`,
    );
  }
  const test = of("test").map((name) => `${path}/${name}`);
  return { train, validation: single("validation"), test };
}
