// long, 450 s
// The proof that the simulation bites: every fault that is planted in a copy of the sources is found within a bounded
// number of seeds.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { shareOf } from "../support/share.ts";
import { simulate } from "./child.ts";
import { faults, plant } from "./faults.ts";

/** Most are found in the first few; `from` spares the others their way. */
const seeds_max = 200;
const limit_ms = 600_000;
/** All faults take about this long. */
const all_faults_s = 450;
const day_ms = 86_400_000;

/** Where there is no time for all, other faults are looked for every day. */
const count = shareOf(faults.length, all_faults_s);
const first = count === faults.length ? 0 : (Math.floor(Date.now() / day_ms) * count) % faults.length;
const chosen = [...faults, ...faults].slice(first, first + count);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ocrch-faults-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the simulation bites: it finds that", () => {
  for (const fault of chosen) {
    test(
      fault.name,
      async () => {
        const source = plant(fault, join(folder, fault.name.replaceAll(" ", "-")));
        const where = ["--source", source, "--from", String(fault.from ?? 1), "--seeds", String(seeds_max)];
        const { status, output } = await simulate(...where, "--steps", "60", "--first-failure");
        const [found = output] = /^seed \d+ failed at step \d+: .*/m.exec(output) ?? [];
        expect(found).toMatch(fault.words);
        expect(status).toBe(1);
      },
      limit_ms,
    );
  }
});
