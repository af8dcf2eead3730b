// Faults to plant: each breaks one promise of the product in a copy of its sources. A simulation that does not find
// every one of them proves nothing.

import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface Change {
  /** From the root of the repository. */
  file: string;
  find: string;
  put: string;
}

export interface PlantedFault {
  name: string;
  changes: readonly Change[];
  /** What the simulation must say of it. */
  words: RegExp;
  /** The seed to begin with, where the first ones do not find it. */
  from?: number;
}

const root = join(import.meta.dir, "../..");
const fault = (
  name: string,
  file: string,
  [find, put]: [find: string, put: string],
  words: RegExp,
  from = 1,
): PlantedFault => ({
  name,
  changes: [{ file, find, put }],
  words,
  from,
});

export const faults: readonly PlantedFault[] = [
  fault(
    "coverage advances before the transfers are stored",
    "src/services/settlement.ts",
    [
      "await inCalls(slice.transfers, takeIn);",
      "await database.transact((tx) => cover(tx, page.watches, pass, range));\n        await inCalls(slice.transfers, takeIn);",
    ],
    /covered and not stored|was lost/,
    150,
  ),
  fault(
    "a transfer is known by its transaction alone",
    "src/storage/transfers.ts",
    ['eq(transfers.position, sql.placeholder("position")),', ""],
    /covered and not stored|was lost|is kept with/,
  ),
  fault(
    "amounts are free again at once",
    "src/storage/deposits.ts",
    ["closeReservations(tx, id, closed_at);", "tx.live().run(`DELETE FROM slots WHERE deposit = ${id}`);"],
    /released early|not in quarantine/,
  ),
  fault(
    "quarantine ends by the clock alone",
    "src/services/release.ts",
    ["const holes = holesBefore(slot, see(slot), late_window_ms);", "const holes: Hole[] = [];"],
    /released early/,
  ),
  fault(
    "an old transfer pays a new order",
    "src/domain/matching.ts",
    [
      'if (isOlderThanDeposit(arrival, candidate)) return { reason: "too_early", likely_order: null };',
      "isOlderThanDeposit(arrival, candidate);",
    ],
    /opened after it|opened above its block/,
  ),
  fault(
    "a late transfer pays",
    "src/domain/matching.ts",
    ['if (arrival.block.time * 1000 > orderEndOnChain(candidate)) return because("late");', ""],
    /expired before it/,
  ),
  fault(
    "orders expire before their chain was read",
    "src/services/expiry.ts",
    [
      "isReadPast(deposit, ends_at, view) && !isPaymentSeen(at, deposit.id) && !isHeldFor(at, deposit.id),",
      "isReadPast(deposit, ends_at, view) || !isPaymentSeen(at, deposit.id) || !isHeldFor(at, deposit.id),",
    ],
    /was paid in time by/,
  ),
  fault(
    "a webhook counts as delivered before it was answered",
    "src/services/delivery.ts",
    [
      "const result = await send(row);",
      "const now = world.now();\n      await database.transact((tx) => recordAttempt(tx, { delivery: row.id, started_at: now, ended_at: now, status: 200, error: null, delivered: true, next_at: null }));\n      const result = await send(row);",
    ],
    /never took it/,
  ),
  fault(
    "retries live in memory",
    "src/services/delivery.ts",
    [
      "else recordAttempt(tx, result);\n      });",
      "else recordAttempt(tx, result.next_at === null ? result : { ...result, next_at: result.next_at + 1e12 });\n      });\n      if (result !== null && result.next_at !== null) world.timer(result.next_at - world.now(), () => void database.transact((tx) => void tx.live().run(`UPDATE deliveries SET next_at = ${result.next_at} WHERE id = ${row.id}`)));",
    ],
    /a webhook is still waiting|was tried again/,
  ),
  fault(
    "a later webhook overtakes an earlier one",
    "src/storage/outbox.ts",
    ["e.state = 'waiting' and e.id < ${deliveries.id}", "e.state = 'waiting' and e.id < 0"],
    /before the one before it/,
  ),
  fault(
    "a transfer counts without a second reading",
    "src/workers/confirm/confirmation.ts",
    [
      "const silence = await askAll(cases);",
      'const silence = await askAll([]);\n    for (const { opinions } of cases) opinions.push({ provider: "a", verdict: "confirmed" }, { provider: "b", verdict: "confirmed" });',
    ],
    /without a second reading|does not stand|a block that left the chain|from a block it is not in/,
  ),
  fault(
    "a rewritten chain is not read again",
    "src/workers/scan/head-pass.ts",
    ["answer.mark?.hash !== seen.hash) return seen;", "answer.mark?.hash === undefined) return seen;"],
    /answered another branch|covered and not stored/,
    14,
  ),
  fault(
    "pages of one poll may lie on two branches",
    "src/workers/scan/head-pass.ts",
    ["if (seen === null || answer.end.number > seen.number) seen = answer.end;", ""],
    /answered another branch/,
    400,
  ),
  {
    name: "wallets out of use keep what they read on a dead branch",
    changes: [
      {
        file: "src/services/watching.ts",
        find: "for (const watch of allWatchIds(tx, chain)) for (const pass of passes) uncoverAbove(tx, watch, top, pass);",
        put: "for (const watch of watchesOf(tx, chain)) for (const pass of passes) uncoverAbove(tx, watch.id, top, pass);",
      },
      { file: "src/services/watching.ts", find: "  allWatchIds,\n", put: "  watchesOf,\n" },
    ],
    words: /answered another branch|covered and not stored/,
    from: 201,
  },
  {
    name: "a transfer is allocated twice",
    changes: [
      {
        file: "src/services/crediting.ts",
        find: "allocate(tx, transfer.id, order_id, kind);",
        put: "allocate(tx, transfer.id, order_id, kind);\n      allocate(tx, transfer.id, order_id, kind);",
      },
      {
        file: "migrations/0001_first.sql",
        find: "CREATE UNIQUE INDEX allocations_live",
        put: "CREATE INDEX allocations_live",
      },
      {
        file: "migrations/0005_attribution.sql",
        find: "CREATE UNIQUE INDEX allocations_live",
        put: "CREATE INDEX allocations_live",
      },
      {
        file: "migrations/0026_lookup_tables.sql",
        find: "CREATE UNIQUE INDEX allocations_live",
        put: "CREATE INDEX allocations_live",
      },
    ],
    words: /two live allocations/,
  },
  fault(
    "money for an order that ended is not turned away",
    "src/domain/matching.ts",
    [
      'if (candidate.closed || candidate.order_status !== "pending") {',
      'if (candidate.closed && candidate.order_status === "pending") {',
    ],
    /settlement_failed/,
  ),
  fault("sockets are told nothing", "src/app.ts", ["http.committed();", ""], /a socket of .* shows/),
  fault(
    "a replay creates a second order",
    "src/services/checkout.ts",
    ["const earlier = known.keyed ?? known.replayed;", "const earlier = known.keyed;"],
    /a replay of/,
  ),
  fault(
    "expected senders' parts never count",
    "src/domain/attribution.ts",
    ["  if (own.length > 1 || isMany(mine)) return ambiguous;\n", "  if (own.length > 0) return null;\n"],
    /had to pay/,
  ),
  fault(
    "an overpayment never pays",
    "src/domain/attribution.ts",
    [
      'return unlessContested(arrival, matchFor(arrival, meant.candidate, "over"), [meant.candidate], context);',
      "return null;",
    ],
    /had to pay/,
    201,
  ),
  fault(
    "an overpayment of any size pays",
    "src/domain/attribution.ts",
    ["return arrival.units <= maxPayment(due) && ", "return arrival.units >= due && maxPayment !== undefined && "],
    /were due/,
  ),
  fault(
    "no claim is ever accepted",
    "src/services/claims.ts",
    ['return bound === null ? "in_inbox" : "accepted";', 'return bound === null ? "in_inbox" : "in_inbox";'],
    /was answered in_inbox, but it had to pay/,
  ),
  fault(
    "what is left of the sender's own order loses to a stranger's exact amount",
    "src/domain/attribution.ts",
    ["  if (remainder !== null) return remainder;\n", ""],
    /was to pay|had to pay/,
    1001,
  ),
  fault(
    "an exchange makes money certain",
    "src/services/attribution.ts",
    ["isShared: () => isSharedSender(at, sender),", "isShared: () => isSharedSender(at, sender) && false,"],
    /its sender pays for many/,
  ),
  fault(
    "a deposit opened just now takes what an older order could mean",
    "src/domain/attribution.ts",
    [
      "(isYoungDeposit(arrival, deposit) ? context.olderThan(deposit) : [])",
      "(isYoungDeposit(arrival, deposit) ? [] : [])",
    ],
    /it was opened just now/,
  ),
  fault(
    "transfers that are an order's amount together never pay",
    "src/services/split-payments.ts",
    ["(may_be_part.includes(reason) ? findSplit", "(may_be_part.includes(reason) && row.id < 0 ? findSplit"],
    /had to pay together/,
  ),
  fault(
    "a clock of its own",
    "src/services/delivery.ts",
    ["const started_at = world.now();", "const started_at = world.now() + 0 * Date.now();"],
    /bypassed the world: Date.now/,
  ),
  fault(
    "a restored log goes on with its old numbers",
    "src/services/event-log.ts",
    ["if (!is_restored) return last;", "if (!is_restored || is_restored) return last;"],
    /no generation began|received two bodies/,
  ),
  fault(
    "blocks of a head that was invented count as read",
    "src/workers/scan/head-check.ts",
    ["if (row?.head_number == null || row.head_number <= latest.number) return;", "if (row !== null) return;"],
    /blocks above the head count as read|answered another branch|was lost/,
  ),
  fault(
    "a call that failed counts as a contract without decimals",
    "src/chains/rpc/evm-node.ts",
    ["contract_failed.test(answer.refusal.text)", 'answer.refusal.kind === "other"'],
    /the server did not start/,
  ),
];

/** Copies the sources to `folder` with a fault planted and returns where they are. Throws when the text to change is gone. */
export function plant(planted: PlantedFault, folder: string, from = root): string {
  mkdirSync(folder, { recursive: true });
  for (const part of ["src", "migrations", "package.json", "tsconfig.json"]) {
    cpSync(join(from, part), join(folder, part), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  for (const { file, find, put } of planted.changes) {
    const path = join(folder, file);
    const text = readFileSync(path, "utf8");
    if (text.split(find).length < 2) throw new Error(`${file} no longer holds ${JSON.stringify(find)}`);
    writeFileSync(
      path,
      text.replace(find, () => put),
    );
  }
  return join(folder, "src");
}
