/** Environment variable that the token is read from, as other tools of the Hub do. */
export const TOKEN_VARIABLE = "HF_TOKEN";

/**
 * The token of the environment; null where there is none.
 *
 * @throws {TypeError} If it cannot be one; the message does not have it.
 */
export function readToken(): string | null {
  const token = Deno.env.get(TOKEN_VARIABLE)?.trim() ?? "";
  if (token === "") return null;
  if (/^hf_[\x21-\x7e]+$/.test(token)) return token;
  throw new TypeError(
    `Cannot use the token in ${TOKEN_VARIABLE}: it must begin with hf_ and hold no spaces`,
  );
}

/**
 * A text for people, in which the token never stands whatever a server answers; in any case, since
 * names of hosts lose theirs.
 */
export function withoutToken(text: string, token: string | null): string {
  if (token === null) return text;
  return text.replaceAll(new RegExp(RegExp.escape(token), "gi"), TOKEN_VARIABLE);
}
