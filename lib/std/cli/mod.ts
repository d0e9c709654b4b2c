/**
 * Offline stand-in for the parts of `@std/cli` that Tunegrid uses.
 * Linked only where JSR cannot be reached.
 *
 * @module
 */
export * from "./parse_args.ts";
