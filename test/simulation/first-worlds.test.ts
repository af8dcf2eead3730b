// slow
// A few simulated worlds in every run of the tests; `npm run test:long` simulates thousands and plants faults.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { simulate } from "./child.ts";
import { faults } from "./faults.ts";

const limit_ms = 300_000;

test(
  "nothing is lost, paid twice or told wrong in the first forty worlds",
  async () => {
    const { status, output } = await simulate("--seeds", "40", "--steps", "60");
    expect(output).toContain("no seed failed");
    expect(output).toMatch(/^40 seeds in /m);
    expect(status).toBe(0);
  },
  limit_ms,
);

test(
  "a seed replays to the last line, and another seed is another run",
  async () => {
    const hashes = async (from: string) =>
      (await simulate("--seeds", "2", "--from", from, "--hashes")).output.split("\n").slice(0, 2);
    const [first, again, other] = await Promise.all([hashes("7"), hashes("7"), hashes("9")]);
    expect(first).toEqual(again);
    expect(new Set([...first, ...other]).size).toBe(4);
  },
  limit_ms,
);

test("every planted fault still quotes the sources", () => {
  const text = (file: string) => readFileSync(join(import.meta.dir, "../..", file), "utf8");
  const stale = faults.flatMap(({ name, changes }) =>
    changes.filter(({ file, find }) => !text(file).includes(find)).map(({ find }) => [name, find]),
  );
  expect(stale).toEqual([]);
});
