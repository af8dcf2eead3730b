// A real Chromium without a window, steered over its own debugging protocol: it runs no script of a page, so what works
// here works for everybody. Started per test file, in a profile of its own that is thrown away.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const start_timeout_ms = 20_000;
const usual_places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Where one is on this machine; null where there is none. */
export const chromium: string | null = usual_places.find((path) => existsSync(path)) ?? Bun.which("chromium");

/** What a browser shows: where it is and the page as it stands. */
export interface Sight {
  url: string;
  html: string;
}

export type Browser = Awaited<ReturnType<typeof startBrowser>>;

/** Starts it on an empty page, scripts off. */
export async function startBrowser(path: string) {
  const profile = mkdtempSync(join(tmpdir(), "ocrch-browser-"));
  const flags = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
  ];
  const child = Bun.spawn(
    [
      path,
      ...flags,
      "--no-first-run",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      "--window-size=420,760",
      "about:blank",
    ],
    {
      stdout: "ignore",
      stderr: "pipe",
    },
  );
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  const origin = await debuggingOrigin(child.stderr);
  const pages = (await (await fetch(`http://${origin}/json/list`)).json()) as {
    type: string;
    webSocketDebuggerUrl: string;
  }[];
  const page = pages.find(({ type }) => type === "page");
  if (page === undefined) throw new Error("the browser has no page");

  const socket = new WebSocket(page.webSocketDebuggerUrl);
  const answers = new Map<number, (result: Record<string, unknown>) => void>();
  const looks = new Set<() => void>();
  let sent = 0;
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(String(data)) as { id?: number; method?: string; result?: Record<string, unknown> };
    if (message.id !== undefined) {
      answers.get(message.id)?.(message.result ?? {});
      answers.delete(message.id);
    } else if (message.method === "Page.loadEventFired") for (const look of [...looks]) look();
  });
  await new Promise((resolve) => socket.addEventListener("open", resolve));

  function ask<Result>(method: string, params: Record<string, unknown> = {}): Promise<Result> {
    const id = ++sent;
    return new Promise((resolve) => {
      answers.set(id, (result) => resolve(result as Result));
      socket.send(JSON.stringify({ id, method, params }));
    });
  }

  async function root(): Promise<number> {
    return (await ask<{ root: { nodeId: number } }>("DOM.getDocument")).root.nodeId;
  }

  async function see(): Promise<Sight> {
    const nodeId = await root();
    const { outerHTML = "" } = await ask<{ outerHTML?: string }>("DOM.getOuterHTML", { nodeId });
    const { frameTree } = await ask<{ frameTree: { frame: { url: string } } }>("Page.getFrameTree");
    return { url: frameTree.frame.url, html: outerHTML };
  }

  for (const domain of ["Page", "DOM"]) await ask(`${domain}.enable`);
  await ask("Emulation.setScriptExecutionDisabled", { value: true });

  return {
    open: (url: string) => ask("Page.navigate", { url }),
    /** Presses and releases the mouse in the middle of the first element that fits. */
    async click(selector: string): Promise<void> {
      const { nodeId } = await ask<{ nodeId: number }>("DOM.querySelector", { nodeId: await root(), selector });
      const { model } = await ask<{ model?: { content: number[] } }>("DOM.getBoxModel", { nodeId });
      if (model === undefined) throw new Error(`nothing to click at ${selector}`);
      const [left = 0, top = 0, , , right = 0, bottom = 0] = model.content;
      const place = { x: (left + right) / 2, y: (top + bottom) / 2, button: "left", clickCount: 1 };
      for (const type of ["mousePressed", "mouseReleased"]) await ask("Input.dispatchMouseEvent", { type, ...place });
    },
    /** Resolves with the first page that fits, the one that is there or one that is loaded later. */
    waitFor(fits: (sight: Sight) => boolean, timeout_ms = 40_000): Promise<Sight> {
      return new Promise((resolve, reject) => {
        let last: Sight = { url: "", html: "" };
        const patience = setTimeout(() => {
          looks.delete(look);
          reject(new Error(`the browser stayed at ${last.url}: ${last.html.slice(0, 2000)}`));
        }, timeout_ms);
        const look = () =>
          void see().then((sight) => {
            last = sight;
            if (!fits(sight)) return;
            clearTimeout(patience);
            looks.delete(look);
            resolve(sight);
          });
        looks.add(look);
        look();
      });
    },
    async screenshot(path: string): Promise<void> {
      const { data } = await ask<{ data: string }>("Page.captureScreenshot", { format: "png" });
      writeFileSync(path, Buffer.from(data, "base64"));
    },
    async stop(): Promise<void> {
      socket.close();
      kill();
      await child.exited;
      process.off("exit", kill);
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

/** Host and port it says it listens on. */
async function debuggingOrigin(stderr: ReadableStream<Uint8Array>): Promise<string> {
  const found = Promise.withResolvers<string>();
  const patience = setTimeout(() => found.reject(new Error("the browser did not start")), start_timeout_ms);
  void (async () => {
    let text = "";
    for await (const chunk of stderr) {
      text += new TextDecoder().decode(chunk);
      const origin = /DevTools listening on ws:\/\/([^/]+)\//.exec(text)?.[1];
      if (origin !== undefined) found.resolve(origin);
    }
    found.reject(new Error(`the browser ended: ${text}`));
  })();
  return found.promise.finally(() => clearTimeout(patience));
}
