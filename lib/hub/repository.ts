/** What a repository of the Hub holds. */
export type RepositoryKind = "model" | "dataset";

/** A repository of the Hugging Face Hub. */
export interface Repository {
  /** Whether it is a model or a data set. */
  readonly kind: RepositoryKind;
  /** `owner/name`, or the name alone of some old ones. */
  readonly id: string;
}

/** Address of the Hub. */
export const HUB_URL = "https://huggingface.co";

/** What a kind is called in a message. */
export const kindWords: Readonly<Record<RepositoryKind, string>> = {
  model: "model",
  dataset: "data set",
};

/**
 * Refuses an id or revision that the Hub cannot have, so that neither leads out of the cache.
 *
 * @throws {TypeError} If one is not as it should be.
 */
export function checkNames(id: string, revision: string): void {
  const part = "[A-Za-z0-9_][A-Za-z0-9_.-]*";
  if (!new RegExp(`^${part}(/${part})?$`).test(id) || id.includes("..")) {
    throw new TypeError(
      `Cannot use ${JSON.stringify(id)}: an id of the Hub is owner/name, of letters, digits, ` +
        "underscores, dots and hyphens",
    );
  }
  if (!new RegExp(`^${part}(/${part})*$`).test(revision) || revision.includes("..")) {
    throw new TypeError(
      `Cannot use revision ${JSON.stringify(revision)}: name a branch, a tag or a commit`,
    );
  }
}

/** Where a repository stands on the Hub. */
export function repositoryUrl({ kind, id }: Repository, hub: string = HUB_URL): string {
  return `${hub}/${kind === "dataset" ? "datasets/" : ""}${id}`;
}
