import { assert, assertEquals } from "@std/assert";
import { pretrainingBatches } from "../../lib/data/corpus/pretraining_batches.ts";
import { embeddedBase, embeddedConfig, embeddedTokenizer } from "../../lib/data/embedded/base.ts";
import { EMBEDDED_RECIPE } from "../../lib/data/embedded/recipe.ts";
import { MADE_BY, WEIGHTS } from "../../lib/data/embedded/weights.ts";
import { sha256 } from "../../lib/formats/digest.ts";
import { buildModel } from "../../lib/models/index.ts";
import { NUMERICS_VERSION } from "../../lib/sweep/cell.ts";
import { numericsFingerprint, sameFingerprint } from "../../lib/train/fingerprint.ts";
import { pretrain } from "../../lib/train/pretrain.ts";
import { expectClose, gpuTest } from "../check_op.ts";

/** Relative tolerance of the redone losses where other bits are to be expected. */
const ELSEWHERE = 1e-3;

gpuTest("the first steps of the embedded base's pretraining come out again", async (gpu) => {
  const tokenizer = embeddedTokenizer();
  const { losses } = await pretrain({
    gpu,
    model: buildModel(embeddedConfig(tokenizer), { classes: 2, head: false }),
    settings: EMBEDDED_RECIPE,
    batch: pretrainingBatches(tokenizer, EMBEDDED_RECIPE),
    stopAfter: MADE_BY.firstLosses.length,
  });
  assertEquals(losses.length, 20);
  const here = await numericsFingerprint(gpu);
  const same = sameFingerprint(here, MADE_BY.fingerprint) &&
    MADE_BY.numericsVersion === NUMERICS_VERSION;
  if (same) assertEquals(losses, [...MADE_BY.firstLosses]);
  else expectClose("losses", losses, MADE_BY.firstLosses, 0, ELSEWHERE);
});

gpuTest("the numerics fingerprint is the same twice", async (gpu) => {
  assertEquals(await numericsFingerprint(gpu), await numericsFingerprint(gpu));
});

Deno.test("the embedded base is the one that its record names, made by the present recipe", () => {
  const bytes = Uint8Array.from(atob(WEIGHTS), (character) => character.charCodeAt(0));
  assertEquals(sha256(bytes), MADE_BY.digest);
  for (const [name, value] of Object.entries(EMBEDDED_RECIPE)) assertEquals(MADE_BY[name], value);
  assert(bytes.length < 2_000_000);
  assert(WEIGHTS.length < 2_000_000);
  const { source, config } = embeddedBase();
  const model = buildModel(config, { classes: 2, head: false });
  assertEquals(source.names().sort(), [...model.scope.parameters.keys()].sort());
});
