// A real Chromium without a window that runs no script of a page: what works here works for everybody.

import { existsSync } from "node:fs";
import { chromium as launcher, type Page } from "playwright-core";

const patience_ms = 120_000;
const usual_places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Where one is on this machine; null where there is none. */
export const chromium: string | null = usual_places.find((path) => existsSync(path)) ?? Bun.which("chromium");

export type Browser = Awaited<ReturnType<typeof startBrowser>>;

/** Starts the browser at `path` with one page as wide as a telephone, in a profile that is thrown away. */
export async function startBrowser(path: string): Promise<{ page: Page; stop(): Promise<void> }> {
  const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"];
  const browser = await launcher.launch({ executablePath: path, headless: true, args });
  const page = await browser.newPage({ javaScriptEnabled: false, viewport: { width: 420, height: 760 } });
  page.setDefaultTimeout(patience_ms);
  return { page, stop: () => browser.close() };
}
