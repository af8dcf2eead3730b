// A reverse proxy that knows no WebSockets, between a client and a server: loses answers and hangs as it is told, and
// keeps count of what came by.

import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";

export interface ShopProxy {
  url: string;
  /** Requests so far, upgrades left out. */
  requests: { path: string; signature: string | undefined }[];
  /** WebSocket handshakes refused so far. */
  readonly upgrades: number;
  /** The next so many requests reach the server, but their connections are cut before the answer. */
  cutAnswers(count: number): void;
  /** From now on nothing is answered. */
  hang(): void;
  /** Resolves once so many more requests came by. */
  waitForMore(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts one in front of `target`. */
export async function startProxy(target: string): Promise<ShopProxy> {
  const requests: ShopProxy["requests"] = [];
  const waiting = new Set<() => void>();
  let upgrades = 0;
  let cuts = 0;
  let hanging = false;

  const server = createServer(async (request, response) => {
    if (hanging) return;
    const { method = "GET", url = "/", headers } = request;
    const cut = cuts > 0;
    if (cut) cuts -= 1;
    const body = await bodyOf(request);
    const names = ["content-type", "idempotency-key", "ocrch-signature", "ocrch-signed-url", "prefer"];
    const passed = names.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])]]));
    const answer = await fetch(target + url, {
      method,
      headers: Object.fromEntries(passed),
      ...(method === "GET" ? {} : { body: new Uint8Array(body) }),
    });
    const text = await answer.text();
    requests.push({ path: url, signature: headers["ocrch-signature"]?.toString() });
    if (cut) request.socket.destroy();
    // A client may ask again by itself when a connection it kept turns out to be cut: this one keeps none.
    else response.writeHead(answer.status, { Connection: "close" }).end(text);
    for (const look of [...waiting]) look();
  });
  server.on("upgrade", (_request, socket) => {
    upgrades += 1;
    socket.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get upgrades() {
      return upgrades;
    },
    cutAnswers(count) {
      cuts = count;
    },
    hang() {
      hanging = true;
    },
    waitForMore(count) {
      const goal = requests.length + count;
      const { promise, resolve } = Promise.withResolvers<void>();
      const look = () => {
        if (requests.length < goal) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      return promise;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A port nobody listens on. */
export function closedPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createTcpServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
