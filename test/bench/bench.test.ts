// long, 40 s
// The benchmark itself still runs: every part of its report is there, every answer is the expected one, nothing stays
// behind. No figure is looked at.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** More than the benchmark gives itself. */
const patience_ms = 200_000;

const folder = mkdtempSync(join(tmpdir(), "ocrch-bench-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test(
  "a quick benchmark reports every part without one wrong answer",
  async () => {
    const out = join(folder, "report.md");
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "main.ts"), "--quick", "--out", out], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      env: { ...process.env, TMPDIR: folder },
    });
    expect(await new Response(child.stderr).text()).toBe("");
    const status = await child.exited;
    const report = readFileSync(out, "utf8");
    expect([status, status === 0 ? "" : report]).toEqual([0, ""]);
    expect(report.match(/^## .*/gm)).toEqual([
      "## Durable rows",
      "## Order creations over HTTP, signed",
      "## Where the time of a creation goes",
      "## Status reads over HTTP, signed",
      "## Transfers",
      "## Admin lists",
      "## Calls to a provider",
      "## Start and memory",
      "## Simulation",
    ]);
    expect(report.match(/errors: .*/g)).toEqual(["errors: 0", "errors: 0"]);
    expect(report).toContain("1,000 of 1,000 open deposits were paid");
    expect(report).toMatch(/longest transaction: \d+ ms/);
    expect(report).toMatch(/a block of 5,000 equal transfers left the chain in [\d.]+ s/);
    expect(report).not.toContain("NaN");
    expect(readdirSync(folder)).toEqual(["report.md"]);
  },
  patience_ms,
);
