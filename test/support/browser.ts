// A real Chromium without a window that runs no script of a page: what works here works for everybody.

import { existsSync } from "node:fs";
import { chromium as launcher, type Page } from "playwright-core";

const patience_ms = 120_000;
const usual_places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Null where none is found. */
const chromium: string | null = usual_places.find((path) => existsSync(path)) ?? Bun.which("chromium");

/** Whether stories in a browser run. Where CI is set they fail without a browser instead of being skipped. */
export const isBrowserExpected = chromium !== null || process.env.CI === "true";

export type Browser = Awaited<ReturnType<typeof startBrowser>>;

/** Starts the browser with one page as wide as a telephone, in a profile that is thrown away. Throws where none is found. */
export async function startBrowser(): Promise<{ page: Page; stop(): Promise<void> }> {
  if (chromium === null) throw new Error("no browser is found: install chromium");
  const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"];
  const browser = await launcher.launch({ executablePath: chromium, headless: true, args });
  const page = await browser.newPage({ javaScriptEnabled: false, viewport: { width: 420, height: 760 } });
  page.setDefaultTimeout(patience_ms);
  return { page, stop: () => browser.close() };
}
