/**
 * Test data that is not part of the project: golden tensors, a real base and real data.
 *
 * @module
 */

const VARIABLE = "TUNEGRID_FIXTURES";

/** Folder with the fixtures, without a slash at the end, or null where there is none. */
export function fixtures(): string | null {
  const folder = (Deno.env.get(VARIABLE) || "../shared").replace(/\/+$/, "");
  return isFolder(`${folder}/golden`) || isFolder(`${folder}/data`) ? folder : null;
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/**
 * Declares a test that needs the fixtures; without them it is ignored, and its name says why.
 *
 * @param name What the test shows.
 * @param fn The test, given the fixtures' folder.
 */
export function fixtureTest(name: string, fn: (folder: string) => void | Promise<void>): void {
  const folder = fixtures();
  if (folder !== null) Deno.test(name, () => fn(folder));
  else {
    Deno.test({
      name: `${name} (ignored: no golden/ or data/ in ../shared; name their folder in ${VARIABLE})`,
      ignore: true,
      fn: () => {},
    });
  }
}
