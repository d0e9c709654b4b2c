/**
 * A headless Chromium, driven over the DevTools protocol through a pipe: no port, no package.
 *
 * @module
 */

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** The browser's program on PATH, or null where there is none. */
export function findChromium(): string | null {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  for (const path of NAMES.flatMap((name) => folders.map((folder) => `${folder}/${name}`))) {
    try {
      if (Deno.statSync(path).isFile) return path;
    } catch {
      // Not there.
    }
  }
  return null;
}

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  // deno-lint-ignore no-explicit-any
  readonly params?: any;
  // deno-lint-ignore no-explicit-any
  readonly result?: any;
  readonly error?: { readonly message: string };
}

/** Milliseconds that the browser may take for one answer. */
const PATIENCE = 60_000;

/** One page of a browser of its own. */
export class Page implements AsyncDisposable {
  /** Errors that the page has written to its console, or thrown. */
  readonly errors: string[] = [];
  /** Addresses that it has asked for, but for itself and data. */
  readonly requests: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #events = new Map<string, () => void>();
  readonly #profile: string;
  readonly #reading: Promise<void>;
  #id = 0;
  #session: string | undefined;

  private constructor(child: Deno.ChildProcess, profile: string) {
    this.#child = child;
    this.#profile = profile;
    this.#writer = child.stdin.getWriter();
    this.#reading = this.#read();
  }

  /** Starts the browser with an empty page. */
  static async open(program: string): Promise<Page> {
    const profile = await Deno.makeTempDir();
    const flags = [
      ...["--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
      ...["--no-sandbox", "--disable-dev-shm-usage", "--remote-debugging-pipe"],
      `--user-data-dir=${profile}`,
    ];
    // The browser reads commands from descriptor 3 and writes answers to 4.
    const child = new Deno.Command("/bin/sh", {
      args: [
        "-c",
        'exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null',
        ...[program, ...flags],
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const page = new Page(child, profile);
    const { targetId } = await page.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await page.send("Target.attachToTarget", { targetId, flatten: true });
    page.#session = sessionId;
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.send(`${domain}.enable`);
    return page;
  }

  /** Sends a command of the protocol. */
  // deno-lint-ignore no-explicit-any
  async send(method: string, params: Record<string, unknown> = {}): Promise<any> {
    const id = ++this.#id;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#waiting.set(id, resolve);
    const timer = setTimeout(() => reject(new Error(`${method}: no answer`)), PATIENCE);
    const message = JSON.stringify({ id, method, params, sessionId: this.#session });
    await this.#writer.write(new TextEncoder().encode(message + "\0"));
    const answer = await promise.finally(() => clearTimeout(timer));
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  }

  /** Opens an address and waits until it is loaded. */
  async goto(url: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#events.set("Page.loadEventFired", resolve);
    await this.send("Page.navigate", { url });
    await promise;
  }

  /** The value of an expression in the page, which must be JSON. */
  // deno-lint-ignore no-explicit-any
  async evaluate(expression: string): Promise<any> {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      returnByValue: true,
      awaitPromise: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
    return result.value;
  }

  /** The middle of an element on the screen, scrolled to. */
  async centre(selector: string): Promise<{ x: number; y: number }> {
    return await this.evaluate(`(() => {
      const element = document.querySelector(${JSON.stringify(selector)});
      element.scrollIntoView({ block: "center" });
      const { x, y, width, height } = element.getBoundingClientRect();
      return { x: x + width / 2, y: y + height / 2 };
    })()`);
  }

  /** Clicks on an element, as a person's mouse would. */
  async click(selector: string): Promise<void> {
    const at = { ...await this.centre(selector), button: "left", clickCount: 1 };
    await this.send("Input.dispatchMouseEvent", { type: "mousePressed", ...at });
    await this.send("Input.dispatchMouseEvent", { type: "mouseReleased", ...at });
  }

  /** Moves the mouse over an element. */
  async hover(selector: string): Promise<void> {
    const at = await this.centre(selector);
    await this.send("Input.dispatchMouseEvent", { type: "mouseMoved", ...at });
  }

  /** A picture of the page, PNG. */
  async screenshot(whole: boolean): Promise<Uint8Array> {
    const { data } = await this.send("Page.captureScreenshot", { captureBeyondViewport: whole });
    return Uint8Array.fromBase64(data);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session = undefined;
    await this.send("Browser.close").catch(() => this.#child.kill("SIGKILL"));
    await this.#child.status;
    await this.#reading;
    await this.#writer.close().catch(() => {});
    await Deno.remove(this.#profile, { recursive: true }).catch(() => {});
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of this.#child.stdout) {
      text += decoder.decode(chunk, { stream: true });
      const messages = text.split("\0");
      text = messages.pop()!;
      for (const message of messages) this.#receive(JSON.parse(message));
    }
  }

  #receive({ id, method, params, ...rest }: Answer): void {
    if (id !== undefined) {
      this.#waiting.get(id)?.({ id, ...rest });
      this.#waiting.delete(id);
      return;
    }
    this.#events.get(method!)?.();
    if (method === "Runtime.exceptionThrown") {
      this.errors.push(params.exceptionDetails.exception?.description ?? "exception");
    } else if (
      method === "Runtime.consoleAPICalled" && ["error", "warning"].includes(params.type)
    ) {
      this.errors.push(JSON.stringify(params.args));
    } else if (method === "Log.entryAdded" && params.entry.level === "error") {
      this.errors.push(params.entry.text);
    } else if (
      method === "Network.requestWillBeSent" && !/^(data|about):/.test(params.request.url)
    ) {
      this.requests.push(params.request.url);
    }
  }
}

/**
 * Declares a test that needs Chromium; without it, it is ignored, and its name says why.
 *
 * @param name What the test shows
 * @param fn The test, given a page
 */
export function browserTest(name: string, fn: (page: Page) => Promise<void>): void {
  const program = findChromium();
  if (program === null) {
    Deno.test({
      name: `${name} (ignored: no chromium on PATH; Debian: apt-get install chromium)`,
      ignore: true,
      fn: () => {},
    });
    return;
  }
  Deno.test(name, async () => {
    await using page = await Page.open(program);
    await fn(page);
  });
}
