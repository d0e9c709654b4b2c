/**
 * Offline stand-in for the parts of `@std/csv` that Tunegrid uses, over csv-parse and
 * csv-stringify. Linked only where JSR cannot be reached.
 *
 * @module
 */
export * from "./parse.ts";
export * from "./stringify.ts";
