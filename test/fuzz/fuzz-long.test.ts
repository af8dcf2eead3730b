// long, 40 s
// The fuzz run with a hundred thousand requests: enough to reach every kind of answer and to see memory grow.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { shareOf } from "../support/share.ts";

const limit_ms = 600_000;

test(
  "a hundred thousand requests",
  async () => {
    const FUZZ_REQUESTS = String(shareOf(100_000, 40));
    const child = Bun.spawn([process.execPath, "test", "--timeout=300000", join(import.meta.dir, "fuzz.test.ts")], {
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, FUZZ_REQUESTS },
    });
    const [out, err, status] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    expect([status, status === 0 ? "" : out + err]).toEqual([0, ""]);
    expect(err).toMatch(/ [1-9]\d* pass/);
  },
  limit_ms,
);
