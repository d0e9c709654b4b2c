import { HUB_URL, kindWords, type Repository, repositoryUrl } from "./repository.ts";

/** What the Hub did not give, and why. */
export class HubError extends Error {
  /** Tells it from other errors. */
  override name = "HubError";
  /** Status of its answer; 0 where none came. */
  readonly status: number;

  /** An error with its message and the status of the Hub's answer. */
  constructor(message: string, status: number, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** What was asked for. */
export interface Asked {
  /** The base or data set. */
  readonly repository: Repository;
  /** Branch, tag or commit, where one was asked for. */
  readonly revision?: string;
  /** Whether a token was sent. */
  readonly hasToken: boolean;
}

/** Where tokens are made. */
export const TOKENS_PAGE = `${HUB_URL}/settings/tokens`;

/**
 * Why the Hub refused, in words with a way out; the Hub says more in its `X-Error-Code` header.
 */
export function refusal(answer: Response, { repository, revision, hasToken }: Asked): string {
  const code = answer.headers.get("X-Error-Code");
  const kind = kindWords[repository.kind];
  const other = repository.kind === "model" ? "; data sets are fetched with --data" : "";
  const { status } = answer;
  if (status === 401 || status === 403) {
    if (code === "GatedRepo") {
      const accept = `accept its conditions at ${repositoryUrl(repository)}`;
      return hasToken
        ? `it is gated, and the token in HF_TOKEN may not read it; ${accept} with the token's account`
        : `it is gated; ${accept} and put a token that may read it into HF_TOKEN`;
    }
    if (!hasToken) {
      return `there is no such ${kind}, or it is private; check the id${other}, ` +
        "or put a token that may read it into HF_TOKEN";
    }
    return status === 401
      ? `the Hub does not accept the token in HF_TOKEN; make one at ${TOKENS_PAGE}`
      : "the token in HF_TOKEN does not allow this; use one with the right scope";
  }
  if (status === 404) {
    if (code === "RevisionNotFound") return `it has no revision ${revision}; check --revision`;
    if (code === "EntryNotFound") return "it has no such file";
    return `there is no such ${kind}; check the id${other}`;
  }
  if (status === 429) {
    const wait = answer.headers.get("Retry-After");
    return `the Hub takes no more requests for now${
      wait === null ? "" : ` (Retry-After: ${wait})`
    }` +
      "; try again later";
  }
  return status >= 500
    ? `the Hub failed with status ${status}; try again later`
    : `the Hub answered with status ${status}`;
}
