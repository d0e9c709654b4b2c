/** The rules of {@linkcode cleanText} in words, for tables and reports. */
export const CLEANING_RULES =
  "control characters dropped; runs of white space folded to one space; ends trimmed; Unicode NFC";

// White space as Unicode has it: what \s knows, and U+0085 NEXT LINE.
const SPACES = /[\s\u0085]+/g;
// Control characters (category Cc) that are not white space.
// deno-lint-ignore no-control-regex
const CONTROLS = /[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f]/g;

/**
 * Text by stated rules, in this order: control characters that are not white space are dropped,
 * every run of white space (tabs, line ends, no-break and zero-width no-break spaces included)
 * becomes one space, spaces at both ends go, and what is left is put into Unicode's
 * normalization form C (UAX #15). Case, punctuation and accents stay as they are. Cleaning twice
 * is cleaning once.
 */
export function cleanText(text: string): string {
  return text.replace(CONTROLS, "").replace(SPACES, " ").trim().normalize("NFC");
}
