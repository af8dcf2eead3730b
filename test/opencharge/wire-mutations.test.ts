// long, 60 s
// A hundred thousand generated mutations of signed requests, every one of them put to the check of callers that the
// server itself makes: not one is accepted whose sender did not sign exactly these bytes for exactly this recipient.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { type Findings, judgeOriginals } from "../support/opencharge/mutations.ts";
import { shareOf } from "../support/share.ts";

const mutations = Number(process.env.OPENCHARGE_MUTATIONS ?? shareOf(100_000, 60));
const seed = Number(process.env.OPENCHARGE_SEED ?? 20260131);
/** Judged side by side: nearly all of the time goes into curves. */
const shares = 2;
const patience_ms = 600_000;

const judge = join(import.meta.dir, "../support/opencharge/mutations.ts");

/** One share, judged by a process of its own. */
async function share(index: number): Promise<Findings> {
  const command = [process.execPath, judge, String(seed + index), String(Math.ceil(mutations / shares))];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  const text = await new Response(child.stdout).text();
  process.off("exit", kill);
  expect(await child.exited).toBe(0);
  return JSON.parse(text) as Findings;
}

test("the requests themselves are accepted by whom they are meant for, and by nobody else", async () => {
  const { accepted, wrong } = await judgeOriginals();
  expect(wrong).toEqual([]);
  // Per sender: at 500 three bodies in two spellings of the path, at 700 as many; 300 is trusted by both as a caller;
  // two calls without a body name nobody. Behind the proxy only the shorter spelling was signed.
  expect(accepted).toBe(3 * (6 + 6 + 3 + 2 * 2) + 2 + 2 + 1);
});

test(
  `of ${mutations} mutations (seed ${seed}) none is accepted that was not signed for exactly these bytes and this recipient`,
  async () => {
    const findings = await Promise.all(Array.from({ length: shares }, (_, index) => share(index)));
    expect(findings.map(({ wrong }) => wrong)).toEqual(findings.map(() => null));
    const ends: Record<string, number> = {};
    for (const one of findings)
      for (const [end, count] of Object.entries(one.ends)) ends[end] = (ends[end] ?? 0) + count;
    const total = Object.values(ends).reduce((sum, count) => sum + count, 0);
    expect(total).toBeGreaterThanOrEqual(mutations);
    // Some mutations change nothing that counts: were none accepted, and none refused by the curve, this would prove nothing.
    const { accepted = 0, INVALID_SIGNATURE: forged = 0 } = ends;
    expect(accepted).toBeGreaterThan(total / 200);
    expect(accepted).toBeLessThan(total / 4);
    expect(forged).toBeGreaterThan(total / 3);
    for (const end of ["TIMESTAMP_EXPIRED", "UNKNOWN_OCID", "meant for another", "no path of the network's"])
      expect([end, (ends[end] ?? 0) > 0]).toEqual([end, true]);
  },
  patience_ms,
);
