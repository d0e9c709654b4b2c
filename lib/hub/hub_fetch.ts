import { type Asked, HubError, refusal } from "./hub_error.ts";

/** How the Hub is reached. */
export interface HubAccess {
  /** The Hub's address. */
  readonly url: string;
  /** Sent to the Hub's own origin alone; null for none. */
  readonly token: string | null;
  /** Wait before the second try, milliseconds; doubled for each further one (500). */
  readonly backoff?: number;
  /** Longest time without an answer or a byte, milliseconds (60,000). */
  readonly patience?: number;
}

/** Tries of one request. */
export const TRIES = 6;

/** Longest wait that is obeyed, milliseconds. */
const LONGEST_WAIT = 120_000;

const REDIRECTS = 10;

/**
 * A `fetch` for the Hub: it sends the token to the Hub's origin and never past a redirect to another
 * one, waits and tries again on cut connections, 408, 429 (as long as `Retry-After` says) and 5xx,
 * and follows no redirect from https to http. Requests that may not be repeated (POST) are tried
 * again where the Hub did not take them (429, 503) alone.
 *
 * The returned function throws {@linkcode HubError} where no answer comes; answers of any status are
 * returned.
 */
export function hubFetch(access: HubAccess): typeof fetch {
  const { backoff = 500 } = access;
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const method = (init.method ?? "GET").toUpperCase();
    const repeatable = ["GET", "HEAD", "PUT"].includes(method);
    const replayable = !(init.body instanceof ReadableStream);
    for (let attempt = 1;; attempt++) {
      const last = attempt === TRIES || !replayable;
      let wait = backoff * 2 ** (attempt - 1);
      try {
        const answer = await follow(url, method, init, access);
        const again = repeatable
          ? [408, 429, 500, 502, 503, 504].includes(answer.status)
          : [429, 503].includes(answer.status);
        if (!again || last) return answer;
        wait = Math.max(wait, retryAfter(answer));
        if (wait > LONGEST_WAIT) return answer;
        await answer.body?.cancel();
      } catch (error) {
        if (error instanceof HubError || init.signal?.aborted) throw error;
        if (last || !repeatable) throw unreachable(url, error);
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  };
}

/**
 * {@linkcode hubFetch}, but an answer of the Hub that is an error is thrown; what its storage hosts
 * answer is returned, since to some questions a 404 is one.
 *
 * @param action What fails then, such as `fetch a/b`.
 */
export function checkedFetch(access: HubAccess, action: string, asked: Asked): typeof fetch {
  const get = hubFetch(access);
  return async (input, init) => {
    const answer = await get(input, init);
    if (answer.ok || new URL(answer.url).origin !== new URL(access.url).origin) return answer;
    await answer.body?.cancel();
    throw new HubError(`Cannot ${action}: ${refusal(answer, asked)}`, answer.status);
  };
}

async function follow(
  start: URL,
  method: string,
  init: RequestInit,
  { url: hub, token, patience = 60_000 }: HubAccess,
): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token !== null && start.origin === new URL(hub).origin) {
    headers.set("Authorization", `Bearer ${token}`);
  }
  let url = start;
  for (let hop = 0; hop <= REDIRECTS; hop++) {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error("no answer came in time")), patience);
    const signal = init.signal ? AbortSignal.any([init.signal, late.signal]) : late.signal;
    let answer: Response;
    try {
      answer = await fetch(url, { ...init, method, headers, signal, redirect: "manual" });
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) {
        throw new HubError(
          `Cannot reach ${url.host}: this task may reach the Hub's hosts alone ` +
            "(huggingface.co and those under hf.co)",
          0,
        );
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
    const location = answer.headers.get("Location");
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === null) return answer;
    await answer.body?.cancel();
    const next = new URL(location, url);
    const safe = next.protocol === "https:" || next.protocol === url.protocol;
    const kept = [307, 308].includes(answer.status) || method === "GET" || method === "HEAD";
    if (!safe || !kept) {
      throw new HubError(
        `Cannot reach ${url.host}: it leads to ${next.protocol}//${next.host}, ` +
          `which a ${method} over ${url.protocol} does not follow`,
        answer.status,
      );
    }
    if (next.origin !== url.origin) headers.delete("Authorization");
    url = next;
  }
  throw new HubError(`Cannot reach ${start.host}: more than ${REDIRECTS} redirects`, 0);
}

/** What `Retry-After` says, milliseconds: seconds or a date (RFC 9110, section 10.2.3). */
function retryAfter({ headers }: Response): number {
  const text = headers.get("Retry-After") ?? "";
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? 0 : Math.max(0, date - Date.now());
}

/** Addresses may be signed, so messages have the host alone. */
function unreachable({ host }: URL, error: unknown): HubError {
  return new HubError(
    `Cannot reach ${host}: ${connectionReason(error)}; check the network, then start again: ` +
      "what has come is kept",
    0,
  );
}

/** What went wrong with a connection, without addresses. */
export function connectionReason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.replaceAll(/\s*(for url )?\(?https?:\/\/[^\s)]*\)?/g, "").trim();
}
