/** `fetch` and `push` against another Hub: COMMAND URL ARGUMENTS…, with short waits. */
import { fetchMain } from "../../lib/hub/fetch_main.ts";
import { pushMain } from "../../lib/hub/push_main.ts";

const [command, url, ...args] = Deno.args;
Deno.exitCode = await (command === "push" ? pushMain : fetchMain)(args, { url, backoff: 5 });
