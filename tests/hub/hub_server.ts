import { createHash } from "node:crypto";

/** A file of a repository, as the server holds it. */
export interface HeldFile {
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether it is large: served by the other origin, listed with its SHA-256. */
  readonly lfs: boolean;
}

/** What was asked. */
export interface Logged {
  readonly origin: "hub" | "storage";
  readonly method: string;
  readonly path: string;
  readonly range: string | null;
  readonly authorization: string | null;
}

/** Takes a request out of the server's hands; null leaves it to the server. */
export type Fault = (asked: Logged, request: Request) => Response | null | Promise<Response | null>;

/** A repository. */
export interface Held {
  readonly id: string;
  readonly kind: "model" | "dataset";
  readonly files: readonly HeldFile[];
  readonly gated?: boolean;
}

/** The commit of every branch here. */
export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** A token that the server knows, and one without access to gated repositories. */
export const TOKEN = "hf_secretOfTheTest";
export const POOR_TOKEN = "hf_anotherSecret";

const hex = (algorithm: string, ...parts: (string | Uint8Array)[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash(algorithm)).digest("hex");

/** What the storage takes in place of the Hub's token. */
export const XET_TOKEN = "ofTheStorage";

/** The digest by which the Hub lists a file. */
export function digestOf({ bytes, lfs }: HeldFile): string {
  return lfs ? hex("sha256", bytes) : hex("sha1", `blob ${bytes.length}\0`, bytes);
}

/** Bytes that look like nothing in particular, the same every time. */
export function someBytes(count: number, seed = 1): Uint8Array<ArrayBuffer> {
  let state = seed;
  return Uint8Array.from({ length: count }, () => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return state >>> 24;
  });
}

export function textFile(path: string, text: string): HeldFile {
  return { path, bytes: new TextEncoder().encode(text), lfs: false };
}

/** Serves the first bytes of a body that claims to be longer, then cuts the connection. */
export function cut(bytes: Uint8Array, at: number, headers: HeadersInit = {}): Response {
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue(bytes.subarray(0, at));
      await new Promise((done) => setTimeout(done, 50));
      controller.error(new Error("cut"));
    },
  });
  return new Response(body, { headers: { "Content-Length": String(bytes.length), ...headers } });
}

/** The Hub's API on the loopback, and a second origin in place of its storage hosts. */
export class HubServer implements AsyncDisposable {
  readonly log: Logged[] = [];
  /** What was pushed: by path. */
  readonly pushed = new Map<string, Uint8Array>();
  readonly repositories: Held[];
  fault: Fault | null = null;
  /** Whether large files are sent by the Xet protocol; the server takes them, but cannot read them. */
  xet = false;
  /** What came by the Xet protocol. */
  xetBytes = 0;
  #xetShards = 0;
  readonly #uploads = new Map<string, Uint8Array>();
  readonly #hub: Deno.HttpServer<Deno.NetAddr>;
  readonly #storage: Deno.HttpServer<Deno.NetAddr>;

  constructor(...repositories: Held[]) {
    this.repositories = repositories;
    const serve = (origin: Logged["origin"], answer: (request: Request) => Promise<Response>) =>
      Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {}, onError }, async (request) => {
        const { pathname } = new URL(request.url);
        const asked = {
          origin,
          method: request.method,
          path: decodeURIComponent(pathname),
          range: request.headers.get("Range"),
          authorization: request.headers.get("Authorization"),
        };
        this.log.push(asked);
        return await this.fault?.(asked, request) ?? await answer(request);
      });
    const onError = (error: unknown) => new Response(String(error), { status: 500 });
    this.#hub = serve("hub", (request) => this.#answer(request));
    this.#storage = serve("storage", (request) => this.#store(request));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#hub.addr.port}`;
  }

  get storageUrl(): string {
    return `http://127.0.0.1:${this.#storage.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#hub.shutdown(), this.#storage.shutdown()]);
  }

  /** Requests for a file's bytes, past all redirects. */
  downloads(path: string): Logged[] {
    const file = this.repositories.flatMap(({ files }) => files).find((file) =>
      file.path === path
    )!;
    return this.log.filter(({ origin, path: asked }) =>
      file.lfs
        ? origin === "storage" && asked.endsWith(digestOf(file))
        : asked.startsWith("/api/resolve-cache/") && asked.endsWith(`/${path}`)
    );
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const path = decodeURIComponent(url.pathname);
    if (request.method === "POST") return await this.#push(path, request);
    const [, api, id, what, revision, name] =
      /^\/(api\/models|api\/datasets|api\/resolve-cache\/models|api\/resolve-cache\/datasets|datasets|)\/?([\w.-]+\/[\w.-]+)\/(revision|tree|resolve|blob)\/([^/]+)\/?(.*)$/
        .exec(path) ?? [];
    const kind = api?.endsWith("datasets") ? "dataset" : "model";
    const token = request.headers.get("Authorization")?.replace("Bearer ", "") ?? null;
    const refuse = (status: number, code?: string) =>
      Response.json({ error: `refused ${token}` }, {
        status,
        headers: code ? { "X-Error-Code": code } : {},
      });
    if (token !== null && token !== TOKEN && token !== POOR_TOKEN) return refuse(401);
    const found = this.repositories.find((one) => one.id === id && one.kind === kind);
    if (found === undefined) return refuse(token === null ? 401 : 404, "RepoNotFound");
    if (!["main", "v1.0", COMMIT].includes(revision)) return refuse(404, "RevisionNotFound");
    if (what === "revision") {
      return Response.json({ _id: "1", id, sha: COMMIT, lastModified: "2024-01-01T00:00:00Z" });
    }
    if (what === "tree") return this.#tree(found, url);
    if (found.gated && what === "resolve" && token !== TOKEN) {
      return refuse(token === null ? 401 : 403, "GatedRepo");
    }
    const file = found.files.find((file) => file.path === name);
    if (file === undefined) return refuse(404, "EntryNotFound");
    if (what === "blob") return served(file, request);
    const location = file.lfs
      ? `${this.storageUrl}/${id}/${digestOf(file)}?signature=alsoSecret`
      : `/api/resolve-cache/${kind}s/${id}/blob/${revision}/${name}`;
    return new Response(null, {
      status: file.lfs ? 302 : 307,
      headers: { Location: location, "X-Linked-ETag": `"${digestOf(file)}"` },
    });
  }

  /** Two entries a page, so that pages are followed. */
  #tree({ files }: Held, url: URL): Response {
    const entries: unknown[] = [];
    const folders = new Set<string>();
    for (const file of files) {
      const [first, ...rest] = file.path.split("/");
      if (rest.length > 0) folders.add(first);
      if (rest.length > 0 && url.searchParams.get("recursive") !== "true") continue;
      const { bytes: { length: size } } = file;
      const oid = hex("sha1", file.path);
      entries.push({
        type: "file",
        path: file.path,
        size,
        ...file.lfs
          ? { oid, lfs: { oid: digestOf(file), size, pointerSize: 134 } }
          : { oid: digestOf(file) },
      });
    }
    entries.push(...[...folders].map((path) => ({ type: "directory", path, size: 0, oid: "" })));
    const start = Number(url.searchParams.get("cursor") ?? 0);
    const next = new URL(url);
    next.searchParams.set("cursor", String(start + 2));
    const more = start + 2 < entries.length;
    return Response.json(entries.slice(start, start + 2), {
      headers: more ? { Link: `<${next}>; rel="next"` } : {},
    });
  }

  async #store(request: Request): Promise<Response> {
    const oid = new URL(request.url).pathname.split("/").pop()!;
    if (new URL(request.url).pathname.startsWith("/v1/")) return await this.#xet(request);
    if (request.method === "PUT") {
      const size = Number(request.headers.get("Content-Length") ?? NaN);
      const bytes = new Uint8Array(await request.arrayBuffer());
      const right = size === bytes.length && hex("sha256", bytes) === oid;
      if (right) this.#uploads.set(oid, bytes);
      return new Response(null, { status: right ? 200 : 400 });
    }
    const files = this.repositories.flatMap(({ files }) => files);
    const file = files.find((file) => file.lfs && digestOf(file) === oid);
    return file === undefined ? new Response(null, { status: 403 }) : served(file, request);
  }

  async #push(path: string, request: Request): Promise<Response> {
    if (request.headers.get("Authorization") !== `Bearer ${TOKEN}`) {
      return Response.json({ error: "refused" }, { status: 403 });
    }
    if (path === "/api/repos/create") {
      const { name, organization, visibility } = await request.json();
      const id = `${organization}/${name}`;
      if (this.repositories.some((one) => one.id === id)) {
        return Response.json({ error: "You already created this model repo" }, { status: 409 });
      }
      this.repositories.push({ id, kind: "model", files: [], gated: visibility === "private" });
      return Response.json({ url: `${this.url}/${id}`, id });
    }
    if (/\/preupload\/main$/.test(path)) {
      const { files } = await request.json() as { files: { path: string }[] };
      const mode = (name: string) => name.endsWith(".safetensors") ? "lfs" : "regular";
      return Response.json({
        files: files.map(({ path }) => ({ path, uploadMode: mode(path) })),
      });
    }
    if (/\.git\/info\/lfs\/objects\/batch$/.test(path)) {
      const { objects } = await request.json() as { objects: { oid: string; size: number }[] };
      if (this.xet) {
        const header = {
          "X-Xet-Cas-Url": this.storageUrl,
          "X-Xet-Access-Token": XET_TOKEN,
          "X-Xet-Token-Expiration": String(Math.floor(Date.now() / 1000) + 3600),
        };
        const actions = { upload: { href: `${this.url}/api/xet-write-token`, header } };
        return Response.json({
          transfer: "xet",
          objects: objects.map((one) => ({ ...one, actions })),
        });
      }
      return Response.json({
        transfer: "basic",
        objects: objects.map(({ oid, size }) => ({
          oid,
          size,
          actions: { upload: { href: `${this.storageUrl}/upload/${oid}` } },
        })),
      });
    }
    if (/\/commit\/main$/.test(path)) return this.#commit(await request.text());
    return new Response(null, { status: 404 });
  }

  /** Chunks that are asked for are unknown here; what is sent is taken. */
  async #xet(request: Request): Promise<Response> {
    if (request.headers.get("Authorization") !== `Bearer ${XET_TOKEN}`) {
      return new Response(null, { status: 401 });
    }
    if (request.method === "GET") return new Response(null, { status: 404 });
    this.xetBytes += (await request.arrayBuffer()).byteLength;
    if (request.url.endsWith("/v1/shards")) this.#xetShards++;
    return Response.json({ was_inserted: true, result: 1 });
  }

  /** One commit: nothing is pushed where a part of it is missing. */
  #commit(text: string): Response {
    const pushed = new Map<string, Uint8Array>();
    for (const { key, value } of text.split("\n").map((line) => JSON.parse(line))) {
      if (key === "file") {
        pushed.set(value.path, Uint8Array.from(atob(value.content), (c) => c.charCodeAt(0)));
      } else if (key === "lfsFile") {
        const sent = this.#xetShards > 0 ? new Uint8Array() : undefined;
        const bytes = this.#uploads.get(value.oid) ?? sent;
        if (bytes === undefined) return Response.json({ error: "not uploaded" }, { status: 400 });
        pushed.set(value.path, bytes);
      }
    }
    for (const [path, bytes] of pushed) this.pushed.set(path, bytes);
    return Response.json({ commitOid: COMMIT, commitUrl: `${this.url}/commit/${COMMIT}` });
  }
}

/** A file's bytes, or the range of them that was asked for. */
function served(file: HeldFile, request: Request): Response {
  const { bytes } = file;
  const headers = { ETag: `"${digestOf(file)}"`, "Accept-Ranges": "bytes" };
  const [, first] = /^bytes=(\d+)-$/.exec(request.headers.get("Range") ?? "") ?? [];
  if (first === undefined) return new Response(bytes, { headers });
  const from = Number(first);
  if (from >= bytes.length) {
    return new Response(null, {
      status: 416,
      headers: { "Content-Range": `bytes */${bytes.length}` },
    });
  }
  return new Response(bytes.subarray(from), {
    status: 206,
    headers: {
      ...headers,
      "Content-Range": `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
    },
  });
}
