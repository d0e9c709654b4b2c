/**
 * What a method's name means in each library that has it: sites, scaling, start and counts, read off
 * the attached method itself.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { textColumns } from "../formats/text_columns.ts";
import type { Initializer, Parameter } from "../layers/scope.ts";
import type { Site } from "../layers/site.ts";
import type { RawConfig } from "../models/config.ts";
import { buildModel } from "../models/index.ts";
import { knownConfigs } from "../models/known_configs.ts";
import { methods } from "../peft/index.ts";
import { type Attached, attachMethod, type MethodOptions } from "../peft/method.ts";
import { isCross } from "../peft/targets.ts";
import { type MethodSpec, parseMethods } from "./method_spec.ts";
import { countOf, openConfig } from "./params.ts";
import { findPublished, type PublishedTable } from "./published.ts";

/** What `--help` prints. */
export const usage = `Shows what each library means by the name of a method.

  deno task compare-libraries [CONFIG ...] [--classes N]

  CONFIG         a config.json, a folder with one, or a name: ${
  Object.keys(knownConfigs).join(", ")
} (t5-small)
  --classes N    classes of a classification head (2)

Methods of one name differ between libraries; all are shown at one size.`;

/** Sizes at which methods are compared. */
const SIZES: Readonly<Record<string, MethodOptions>> = {
  soft_prompt: { tokens: 10 },
  prefix: { tokens: 10 },
  adapter: { bottleneck: 8 },
  lora: { rank: 8 },
};

/** A method under one library's semantics, on one model. */
export interface LibraryRow {
  readonly method: MethodSpec;
  readonly label: string;
  /** The library's own size, where the method has one. */
  readonly usual: string;
  /** Options that differ from this project's own, beside size and semantics. */
  readonly differs: Readonly<MethodOptions>;
  /** Changed sites: how many of each kind. */
  readonly sites: ReadonlyMap<string, number>;
  /** Factor of what the method adds; null where it has none. */
  readonly scaling: number | null;
  /** How each kind of its parameters starts. */
  readonly start: readonly string[];
  /** Parameters that train, the head's included. */
  readonly trainable: number;
  /** What a reader of the numbers should know. */
  readonly note: string | null;
}

/**
 * Attaches a method to the model of a configuration and reads off what it did.
 *
 * @param method With its options resolved.
 * @throws TypeError or RangeError where configuration or option does not fit.
 */
export function libraryRow(config: RawConfig, method: MethodSpec, classes: number): LibraryRow {
  const record = methods[method.name];
  const model = buildModel(config, { classes, head: record.needsHead });
  const { sites } = model.scope;
  const attached = attachMethod(model, record, method.options);
  return {
    method,
    label: record.label(method.options),
    usual: usualSize(method),
    differs: differences(method),
    sites: changedSites(sites),
    scaling: record.scaling?.(method.options) ?? null,
    start: starts(attached, sites),
    trainable: attached.counts.trainable,
    note: record.note?.(sites, method.options) ?? null,
  };
}

/**
 * All methods that more than one library has, under each library's semantics.
 *
 * @param also Further methods, which are shown beside those of their name.
 */
export function compareLibraries(
  config: RawConfig,
  classes: number,
  also: readonly MethodSpec[] = [],
): LibraryRow[] {
  const rows: LibraryRow[] = [];
  for (const { name, semantics = [], parse } of Object.values(methods)) {
    if (semantics.length < 2) continue;
    const specs = semantics.map((one) => ({
      name,
      options: parse({ ...SIZES[name], semantics: one }),
    }));
    const own = rows.length;
    for (const spec of [...specs, ...also.filter((one) => one.name === name)]) {
      const row = libraryRow(config, spec, classes);
      if (!rows.slice(own).some(({ label }) => label === row.label)) rows.push(row);
    }
  }
  return rows;
}

function usualSize({ name, options: { semantics } }: MethodSpec): string {
  const [size] = Object.keys(SIZES[name] ?? {});
  if (size === undefined) return "";
  const usual = methods[name].parse({ semantics });
  return usual[size] === "auto" ? `width / ${usual.reduction}` : `${usual[size]}`;
}

function differences({ name, options }: MethodSpec): MethodOptions {
  const size = Object.keys(SIZES[name] ?? {});
  const own = methods[name].parse({});
  return Object.fromEntries(
    Object.entries(options).filter(([key, value]) =>
      key !== "semantics" && !size.includes(key) && own[key] !== value
    ),
  );
}

/** Sites with transforms by kind. A prefix shifts positions at the embedding, which does not count. */
function changedSites(sites: readonly Site[]): Map<string, number> {
  const changed = sites.filter((site) =>
    site.transforms.length > 0 || site.kind === "linear" && site.inputTransforms.length > 0
  );
  const counted = changed.filter(({ kind }) => kind !== "embed");
  const kinds = new Map<string, number>();
  for (const site of counted.length > 0 ? counted : changed) {
    const kind = kindOf(site, sites);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  return kinds;
}

function kindOf(site: Site, sites: readonly Site[]): string {
  switch (site.kind) {
    case "linear":
      return site.path.split(".").slice(-2).join(".");
    case "ffn_out":
      return "feed-forward outputs";
    case "attn_out":
      return `${isCross(site, sites) ? "cross" : "self"}-attention outputs`;
    case "kv":
      return `keys and values of the ${site.stack}`;
    case "embed":
      return "embedding";
  }
}

/** How the parameters that a method adds start, one text for each of a kind. */
function starts({ delta, trainable }: Attached, sites: readonly Site[]): string[] {
  const added = delta.select().filter((parameter) => trainable.includes(parameter));
  return [
    ...new Set(added.map((parameter) => {
      const site = sites.find(({ path }) => parameter.name.startsWith(`${path}.`));
      const own = site === undefined ? parameter.name : parameter.name.slice(site.path.length + 1);
      if (own.endsWith(".bias")) return `biases ${startText(parameter)}`;
      return `${own.replace(/\.weight$/, "")} ${startText(parameter)}`;
    })),
  ];
}

function startText({ initializer }: Parameter): string {
  const number = (value: number) => Number(value.toPrecision(3));
  const texts: { [K in Initializer["kind"]]: (one: Extract<Initializer, { kind: K }>) => string } =
    {
      zeros: () => "0",
      ones: () => "1",
      normal: ({ deviation }) => `N(0, ${number(deviation)})`,
      uniform: ({ bound }) => `U(±${number(bound)})`,
      rows: ({ start }) => `vocabulary rows from ${start}`,
      computed: ({ text }) => text,
    };
  return (texts[initializer.kind] as (one: Initializer) => string)(initializer);
}

/**
 * Prints the comparison that a command line asks for.
 *
 * @param published A table, shown beside the model that it is of.
 * @returns The exit code.
 */
export async function compareMain(
  args: readonly string[],
  published?: PublishedTable,
): Promise<number> {
  try {
    const { names, classes, help } = readArguments(args);
    if (help) {
      console.log(usage);
      return 0;
    }
    for (const name of names.length === 0 ? ["t5-small"] : names) {
      console.log(comparisonText(name, await openConfig(name), classes, published));
    }
    return 0;
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    return 1;
  }
}

function readArguments(args: readonly string[]) {
  const { _: words, classes, help } = parseArgs([...args], {
    string: ["_", "classes"],
    boolean: ["help"],
    default: { classes: "2" },
    unknown: (arg, key) => {
      if (key === undefined) return true;
      throw new TypeError(
        `Cannot use option ${arg}: no such option; there are --classes and --help`,
      );
    },
  });
  if (!/^[1-9]\d{0,8}$/.test(classes)) {
    throw new RangeError(`Cannot use --classes ${classes}: must be a whole number above 0`);
  }
  return { names: words.map(String), classes: Number(classes), help };
}

/** The comparison as text: a table, notes below. */
export function comparisonText(
  name: string,
  config: RawConfig,
  classes: number,
  published?: PublishedTable,
): string {
  const table = published !== undefined && isOf(published, config) ? published : undefined;
  const also = table?.rows.flatMap(({ method }) => parseMethods(method, methods)) ?? [];
  const find = findPublished(table, methods);
  const notes: string[] = [];
  const noteMark = (note: string | null) => {
    if (note === null) return "";
    if (!notes.includes(note)) notes.push(note);
    return ` [${notes.indexOf(note) + 1}]`;
  };
  const rows = compareLibraries(config, classes, also).map((row) => {
    const found = find(row.method);
    return [
      row.label + noteMark(row.note),
      row.usual,
      Object.entries(row.differs).map(([key, value]) => `${key}=${value}`).join(", "),
      [...row.sites].map(([kind, count]) => `${count} ${kind}`).join(", "),
      row.scaling === null ? "" : `${Number(row.scaling.toPrecision(4))}`,
      row.start.join(", "),
      row.trainable.toLocaleString("en"),
      ...table === undefined ? [] : [found === null ? "" : `${found.accuracy.toFixed(1)} %`],
    ];
  });
  const head = [name, "default", "options", "sites", "scaling", "start", "trainable"];
  if (table !== undefined) head.push("published");
  const right = [false, true, false, false, true, false, true, true].slice(0, head.length);
  return [
    textColumns([head, ...rows], right),
    ...notes.map((note, i) => `[${i + 1}] ${note}`),
    ...table === undefined ? [] : [`published: ${table.source}; ${table.measured}`],
    "",
  ].join("\n");
}

/** Whether a table is of the model that a configuration describes, by its number of parameters. */
function isOf({ rows }: PublishedTable, config: RawConfig): boolean {
  const full = rows.find(({ method }) => method === "full");
  return full?.total === countOf(config, { name: "full", options: {} }, 2).total;
}
