// Many transfers that leave the chain at once: what it costs, how it is spread over transactions, and what a kill between
// two of them leaves behind.

import { afterEach, expect, test } from "bun:test";
import { parts_per_order_max } from "../../src/services/settlement.ts";
import { coveredBlocks, watchesOf } from "../../src/storage/coverage.ts";
import { ann, startTill, type Till } from "../support/till.ts";

/** Before, 1,000 transfers took more than a minute. */
const cpu_max_ms = 10_000;
const rows_per_commit_max = 50;

let till: Till;
let commits = 0;
let die_at = Number.POSITIVE_INFINITY;
let committed: (() => void) | null = null;
const world = {
  point(name: string) {
    if (name === "commit.after") committed?.();
    if (name !== "commit.before") return;
    commits += 1;
    if (commits >= die_at) throw new Error("killed");
  },
  exit: (() => undefined) as never,
};
afterEach(async () => {
  committed = null;
  die_at = Number.POSITIVE_INFINITY;
  till.audit();
  await till.stop();
});

const countWhere = (what: string) =>
  till.rows<{ n: number }>(`SELECT count(*) AS n FROM transfers WHERE ${what}`)[0]?.n ?? 0;
const repeated = (times: number, amount: string) => Array.from({ length: times }, () => ({ amount }));

const amounts: [what: string, amount: string][] = [
  ["dust", "0.001"],
  ["of the amount of one order", "10.00"],
  ["that could be part of one order", "3.33"],
];
test.each(amounts)(
  "1,000 equal transfers %s that leave the chain cost no more than their rows",
  async (_, amount) => {
    till = await startTill({}, world);
    await till.asked("10.00");
    const ids = await till.arriveTogether(repeated(1000, amount));
    let most = 0;
    let before = 0;
    committed = () => {
      const dropped = countWhere("status = 'failed_to_confirm'");
      most = Math.max(most, dropped - before);
      before = dropped;
    };
    const began = process.cpuUsage();
    await till.quiet(ids);
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1000).toBeLessThan(cpu_max_ms);
    expect(countWhere("status = 'failed_to_confirm'")).toBe(1000);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(rows_per_commit_max);
  },
  300_000,
);

test("one block with 1,000 transfers is stored over many transactions", async () => {
  till = await startTill({}, world);
  let most = 0;
  let before = 0;
  committed = () => {
    const stored = countWhere("true");
    most = Math.max(most, stored - before);
    before = stored;
  };
  await till.arriveTogether(repeated(1000, "0.001"));
  expect(countWhere("true")).toBe(1000);
  expect(most).toBeLessThanOrEqual(rows_per_commit_max);
}, 300_000);

test("a kill between any two commits of a reorg leaves nothing covered that still holds a transfer of the old branch", async () => {
  for (let survived = 1, died = true; died; survived++) {
    till = await startTill({}, world);
    const order = await till.asked("10.00");
    const ids = await till.arriveTogether(repeated(120, "10.00"));
    expect(till.transfer(ids[0] ?? 0).deposit).not.toBeNull();
    die_at = commits + survived;
    died = await till.quiet(ids).then(
      () => false,
      () => true,
    );
    die_at = Number.POSITIVE_INFINITY;

    const left = ids.filter((id) => till.transfer(id).status !== "failed_to_confirm");
    const [block] = till.rows<{ block: number }>("SELECT max(block_number) AS block FROM transfers");
    const covered = till.database.read((at) => watchesOf(at, "eth").flatMap((watch) => coveredBlocks(at, watch.id)));
    const is_covered = covered.some(({ from, to }) => from <= (block?.block ?? 0) && (block?.block ?? 0) <= to);
    // The first commit takes the coverage back. Before it the mark of the old branch still shows the reorg.
    if (survived > 1) expect(left.length > 0 && is_covered).toBe(false);

    // The restarted scan finds what is left on the old branch, and then the payment on the new one.
    if (left.length > 0) await till.quiet(left);
    const paid = await till.receive({ amount: "10.00" });
    expect([till.status(order), paid.status]).toEqual(["paid", "matched"]);
    expect(countWhere("status = 'failed_to_confirm'")).toBe(120);
    if (!died) expect(survived).toBeGreaterThan(4);
    else {
      till.audit();
      await till.stop();
    }
  }
}, 300_000);

test("the next transfer in line takes the deposit that one which left the chain gave up", async () => {
  till = await startTill({}, world);
  const order = await till.asked("10.00");
  const [first = 0, second = 0, third = 0] = await till.arriveTogether(repeated(3, "10.00"));
  await till.quiet([first]);
  expect(till.transfer(second).deposit).not.toBeNull();
  expect(till.transfer(third)).toMatchObject({ deposit: null, reason: "duplicate" });
  await till.confirm(second);
  expect(till.status(order)).toBe("paid");
});

test("an order takes a bounded number of parts, so that its end is one short transaction", async () => {
  till = await startTill({}, world);
  const order = await till.asked("1000", ann);
  const ids = await till.arriveTogether(
    Array.from({ length: parts_per_order_max + 1 }, () => ({ amount: "0.5", sender: ann })),
  );
  for (const id of ids) await till.confirm(id);
  expect(till.rows("SELECT status, count(*) AS n FROM transfers GROUP BY status ORDER BY n")).toEqual([
    { status: "waiting_for_match", n: 1 },
    { status: "matched", n: parts_per_order_max },
  ]);
  expect(till.transfer(ids.at(-1) ?? 0)).toMatchObject({ reason: "short", likely_order: order });
}, 300_000);
