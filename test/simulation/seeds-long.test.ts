// long, 60 s
// A few simulated worlds that last, and the ones that found something once.

import { expect, test } from "bun:test";
import { simulate } from "./child.ts";

const few_seeds_ms = 300_000;

test(
  "nothing is lost, paid twice or told wrong in worlds that last",
  async () => {
    const { output } = await simulate("--from", "5001", "--seeds", "20", "--steps", "400");
    expect(output).toContain("no seed failed");
  },
  few_seeds_ms,
);

/** What worlds found once. A change of the simulation makes other worlds of these seeds: stories and planted faults hold it, too. */
const kept: readonly (readonly [seed: number, steps: number, found: string])[] = [
  [
    4,
    60,
    "the memory of a creation was let go while the clock ran ahead; set right, a repeated request made a second order",
  ],
  [
    341,
    60,
    "the first block of a wallet that was added later vouched for blocks that others had read on a dead branch",
  ],
  [
    50191,
    150,
    "after a restart depth stood in for a finality tag that was served until then, and amounts were free too early",
  ],
];

for (const [seed, steps, found] of kept) {
  test(
    `seed ${seed}, which found: ${found}`,
    async () => {
      const { output } = await simulate("--seeds", "1", "--from", String(seed), "--steps", String(steps));
      expect(output).toContain("no seed failed");
    },
    few_seeds_ms,
  );
}
