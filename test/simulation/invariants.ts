// What must hold after every step of every world: questions to the database that must return no rows, and comparisons
// of what the product believes with what truly happened. Reads committed rows only; changes nothing.

import type { Database as Sqlite } from "bun:sqlite";
import type { EventType } from "../../src/domain/events.ts";
import type { Finality } from "../../src/domain/finality.ts";
import { isPayloadOf } from "../support/event-payloads.ts";
import { isWithin, unitsOf } from "./oracle/amounts.ts";
import { createOracle } from "./oracle/oracle.ts";
import { type Provider, pairKey } from "./provider.ts";
import { judgeRestore } from "./restoring.ts";
import { indexKinds, isSmall, readings, type SimChainId } from "./scenery.ts";
import { clock_skew_s, wrongestClock } from "./settings.ts";
import { type Payment, type Stage, wallOf } from "./stage.ts";
import { epoch_ms } from "./world.ts";

const unexplained = "a balance moved and no transfer explains it";
/** Each must return no rows; the first column names the culprit. */
const questions: Readonly<Record<string, string>> = {
  "a transfer has two live allocations":
    "SELECT transfer FROM allocations WHERE reversed_at IS NULL GROUP BY transfer HAVING count(*) > 1",
  "an order is paid by the chain without money, or by nothing":
    "SELECT o.id FROM orders o WHERE o.status = 'paid' AND (o.cause = 'pay' AND NOT EXISTS (SELECT 1 FROM allocations a WHERE a.order_id = o.id) OR o.cause NOT IN ('pay', 'mark_paid')) OR o.status <> 'paid' AND o.cause IN ('pay', 'mark_paid')",
  "an order has two transfers that match it, or one that does not pay it":
    "SELECT a.order_id FROM allocations a JOIN orders o ON o.id = a.order_id WHERE a.kind = 'match' AND a.reversed_at IS NULL GROUP BY a.order_id HAVING count(*) > 1 OR o.status <> 'paid'",
  "what was received is not what is allocated, unallocated and reverted together":
    "SELECT chain, wallet, token FROM (SELECT t.chain, t.wallet, t.token, t.units, 1 AS sign FROM transfers t UNION ALL SELECT t.chain, t.wallet, t.token, t.units, -1 FROM allocations a JOIN transfers t ON t.id = a.transfer WHERE a.reversed_at IS NULL AND t.status <> 'failed_to_confirm' AND t.reverted_at IS NULL UNION ALL SELECT t.chain, t.wallet, t.token, t.units, -1 FROM transfers t WHERE t.status NOT IN ('failed_to_confirm', 'matched') AND t.reverted_at IS NULL UNION ALL SELECT t.chain, t.wallet, t.token, t.units, -1 FROM transfers t WHERE t.status = 'failed_to_confirm' OR t.reverted_at IS NOT NULL) GROUP BY chain, wallet, token HAVING signed_sum(units, sign) <> '0'",
  "an order is pending with more than its amount":
    "WITH sums AS (SELECT o.id, o.status, CAST(o.amount AS REAL) AS price, coalesce((SELECT sum(CAST(t.amount AS REAL)) FROM allocations a JOIN transfers t ON t.id = a.transfer WHERE a.order_id = o.id AND a.reversed_at IS NULL), 0) AS received, EXISTS (SELECT 1 FROM allocations a JOIN transfers t ON t.id = a.transfer WHERE a.order_id = o.id AND t.reverted_at IS NOT NULL) AS reverted FROM orders o) SELECT id, received FROM sums WHERE status = 'pending' AND received > price * 1.000000000001 AND NOT reverted",
  "an order that ended unpaid keeps money that nobody put there":
    "SELECT o.id FROM orders o JOIN allocations a ON a.order_id = o.id AND a.reversed_at IS NULL WHERE o.status IN ('expired', 'cancelled') AND a.kind <> 'assign'",
  "a transition has no event":
    "SELECT o.id FROM orders o WHERE o.status <> 'pending' AND o.status IS NOT (SELECT e.body ->> '$.status' FROM events e WHERE e.order_id = o.id AND e.type = 'order_status_changed' ORDER BY e.n DESC LIMIT 1)",
  "an order has no event of its creation":
    "SELECT o.id FROM orders o WHERE (SELECT count(*) FROM events e WHERE e.order_id = o.id AND e.type = 'order_created') <> 1",
  "a status was announced twice":
    "SELECT e.order_id FROM events e WHERE e.type = 'order_status_changed' GROUP BY e.order_id HAVING count(*) > count(DISTINCT e.body ->> '$.status') + (SELECT count(*) FROM audit WHERE action = 'resend_webhook' AND subject = 'order:' || e.order_id)",
  "an event that pushes has no delivery":
    "SELECT e.n FROM events e WHERE e.type = 'order_status_changed' AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event = e.n)",
  "the numbers of events have a gap within a generation":
    "SELECT max(n) FROM events HAVING count(*) <> coalesce(max(n), 0) - (SELECT coalesce(sum(r.n - 1 - coalesce((SELECT max(e.n) FROM events e WHERE e.n < r.n), 0)), 0) FROM events r WHERE r.type = 'log_restored')",
  "a transfer is matched without an allocation, or allocated without a match":
    "SELECT t.id FROM transfers t WHERE (t.status = 'matched') <> EXISTS (SELECT 1 FROM allocations a WHERE a.transfer = t.id AND a.reversed_at IS NULL)",
  "a transfer waits in the inbox without a reason":
    "SELECT id FROM transfers WHERE status IN ('waiting_for_match', 'no_matched_deposit') AND (reason IS NULL OR confirmed_at IS NULL)",
  "a comparison found a transfer that the scan had missed": "SELECT chain FROM checks WHERE missed > 0",
  [unexplained]: "SELECT id FROM balance_cases",
  "two open deposits share a slot":
    "SELECT a.id FROM deposits a JOIN deposits b ON a.id < b.id AND a.chain = b.chain AND a.coin = b.coin AND a.wallet = b.wallet AND a.units = b.units AND (a.sender IS NULL OR b.sender IS NULL OR a.sender = b.sender) WHERE a.closed_at IS NULL AND b.closed_at IS NULL",
  "an open deposit has no slot":
    "SELECT d.id FROM deposits d WHERE d.closed_at IS NULL AND NOT EXISTS (SELECT 1 FROM slots s WHERE s.deposit = d.id AND s.units = d.units AND s.closed_at IS NULL)",
  "a closed deposit is not in quarantine": `SELECT d.id FROM deposits d LEFT JOIN slots s ON s.deposit = d.id WHERE d.closed_at IS NOT NULL AND (s.id IS NULL AND d.closed_at + $late_window_ms > $now OR s.id IS NOT NULL AND s.closed_at IS NOT d.closed_at)`,
  "an order that ended has an open deposit":
    "SELECT o.id FROM orders o JOIN deposits d ON d.order_id = o.id WHERE o.status <> 'pending' AND d.closed_at IS NULL",
  "an allocation pays an order other than that of its deposit":
    "SELECT t.id FROM allocations a JOIN transfers t ON t.id = a.transfer JOIN deposits d ON d.id = t.deposit WHERE a.reversed_at IS NULL AND (a.order_id <> d.order_id OR t.chain <> d.chain OR t.coin <> d.coin OR t.wallet <> d.wallet OR a.kind <> 'assign' AND d.sender <> t.sender OR a.kind = 'match' AND t.units <> d.units OR t.part <> (a.kind NOT IN ('match', 'claim')))",
};

/** Blocks below the head that are compared after each step; the whole is compared at the end. */
const blocks_compared = 40;
/** Amounts of all coins are added up in these. */
const common_decimals = 18;
/** A server notices the commit of another process within a second. */
const notice_ms = 1500;

export interface Invariants {
  /** Compares now. The first violation is told to `stage.fail`. */
  check(thorough?: boolean): void;
  /** Takes all that there is for judged: it is a copy of what was. Before the first check. */
  begin(): void;
}

interface LoggedBody {
  n: number;
  type: EventType;
  body: string;
}

interface CoverageRow {
  chain: SimChainId;
  wallet: string;
  token: string;
  from_block: number;
  to_block: number;
  provider: string;
}

const isIndex = ({ host }: Provider) => host.includes("-index.");

/** The invariants of one world over a connection to its database, which the caller closes. */
export function createInvariants(stage: Stage, db: Sqlite): Invariants {
  const { chains, providers, server, fail } = stage;
  db.aggregate("signed_sum", {
    start: () => 0n,
    step: (sum: bigint, units: string, sign: number) => sum + BigInt(units) * BigInt(sign),
    result: (sum: bigint) => sum.toString(),
  });
  const asked = Object.entries(questions).map(([name, sql]) => ({ name, statement: db.prepare(sql) }));
  const version = db.prepare<{ data_version: number }, []>("PRAGMA data_version");
  const lastEvent = db.prepare<{ n: number | null }, []>("SELECT max(n) AS n FROM events");
  const coverage = db.prepare<CoverageRow, []>(
    "SELECT w.chain, w.wallet, w.token, c.from_block, c.to_block, c.provider FROM coverage c JOIN watches w ON w.id = c.watch",
  );
  // The plus keeps the plan: SQLite would make another for every chain it is asked about.
  const newestMark = db.prepare<{ hash: string }, [string]>(
    "SELECT hash FROM blocks WHERE chain = +? ORDER BY number DESC LIMIT 1",
  );
  const transfer = db.prepare<{ id: number }, [string, string, number]>(
    "SELECT id FROM transfers WHERE chain = ? AND tx_hash = ? AND position = ? AND status <> 'failed_to_confirm'",
  );
  const successes = db.prepare<{ id: number; event: number; url: string }, [number]>(
    "SELECT a.id, d.event, d.url FROM attempts a JOIN deliveries d ON d.id = a.delivery WHERE a.id > ? AND a.error IS NULL AND d.event IS NOT NULL ORDER BY a.id",
  );
  const newestAttempt = db.prepare<{ id: number }, []>("SELECT coalesce(max(id), 0) AS id FROM attempts");
  const allocated = db.prepare<Allocated, [number]>(
    "SELECT a.id, a.order_id, a.kind, d.id AS deposit, t.units, t.chain, t.tx_hash, t.position, t.block_number, t.block_hash, t.block_time, t.seen_at, d.opened_at + coalesce(d.opened_ahead_ms, 0) AS opened_at, d.opened_head, o.expires_at + max(0, coalesce(d.opened_ahead_ms, 0)) AS expires_at FROM allocations a JOIN transfers t ON t.id = a.transfer JOIN deposits d ON d.id = t.deposit JOIN orders o ON o.id = a.order_id WHERE a.id > ? AND a.kind <> 'assign' ORDER BY a.id",
  );
  const closedAt = db.prepare<{ closed_at: number | null }, [string, string, string]>(
    "SELECT closed_at FROM deposits WHERE order_id = ? AND chain = ? AND coin = ?",
  );
  const promised = db.prepare<{ id: number }, { $deposit: number; $units: string; $sender: string }>(
    "SELECT id FROM deposits WHERE id = $deposit AND (units = $units OR sender = $sender) UNION SELECT deposit FROM slots WHERE deposit = $deposit AND units = $units",
  );
  const released = db.prepare<{ id: number; chain: SimChainId; closed_at: number }, []>(
    "SELECT d.id, d.chain, d.closed_at FROM deposits d WHERE d.closed_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM slots s WHERE s.deposit = d.id)",
  );
  const readAbove = db.prepare<{ chain: SimChainId; pass: string; to_block: number; head_number: number }, []>(
    "SELECT w.chain, c.pass, c.to_block, k.head_number FROM coverage c JOIN watches w ON w.id = c.watch JOIN chains k ON k.chain = w.chain WHERE c.to_block > k.head_number",
  );
  const statuses = db.prepare<{ id: string; status: string }, []>("SELECT id, status FROM orders");
  const paid = db.prepare<{ id: string; amount: string; received: string }, []>(
    "SELECT o.id, o.amount, json_group_array(t.amount) AS received FROM orders o JOIN allocations a ON a.order_id = o.id AND a.reversed_at IS NULL JOIN transfers t ON t.id = a.transfer WHERE o.cause = 'pay' GROUP BY o.id",
  );
  const typed = db.prepare<LoggedBody, [number]>("SELECT n, type, body FROM events WHERE n > ? ORDER BY n");
  const oracle = createOracle(stage, db);
  const seen = { version: -1, event: -1, typed: 0, success: 0, allocation: 0 };
  const stored = new Set<Payment>();
  /** Orders whose sum was compared, and when, virtual ms. */
  const summed = { orders: new Set<string>(), at: 0 };
  /** Deposits whose release was compared. */
  const judged = new Set<number>();

  interface Allocated {
    id: number;
    order_id: string;
    kind: string;
    deposit: number;
    units: string;
    chain: SimChainId;
    tx_hash: string;
    position: number;
    block_number: number;
    block_hash: string;
    block_time: number;
    seen_at: number;
    opened_at: number;
    opened_head: number | null;
    expires_at: number;
  }

  function askQuestions(): void {
    for (const { name, statement } of asked) {
      // What was invented and counted has moved no balance.
      if (name === unexplained && stage.traits.invents) continue;
      const row = (
        name === "a closed deposit is not in quarantine"
          ? statement.get({ $now: wallOf(stage), $late_window_ms: stage.rules.leastLateWindow(0) })
          : statement.get()
      ) as Record<string, unknown> | null;
      if (row !== null) fail(`${name}: ${Object.values(row).join(" ")}`);
    }
  }

  /** True while the newest header the product remembers of a chain stands: then all it claims must stand. */
  function marksStand(id: SimChainId): boolean {
    const mark = newestMark.get(id);
    const block = mark === null ? undefined : chains[id].blocks.get(mark.hash);
    return block !== undefined && chains[id].isCanonical(block);
  }

  function compareCoverage(thorough: boolean): void {
    const rows = coverage.all();
    const standing = new Map(stage.scenery.chains.map((id) => [id, marksStand(id)]));
    for (const row of rows) {
      const chain = chains[row.chain];
      const provider = providers[row.chain].find(({ host }) => host === row.provider);
      if (provider === undefined) return fail(`coverage by nobody: ${row.provider}`);
      const pair = pairKey(row.wallet, row.token);
      const lowest = thorough ? row.from_block : Math.max(row.from_block, chain.head().number - blocks_compared);
      // Above the head there is nothing to read: a node that shows a head of its own may answer one call and not the next.
      const highest = Math.min(row.to_block, chain.head().number);
      for (let number = lowest; number <= highest; number++) {
        // An index whose machines lag apart shows a block with one and lists without it with another.
        if (!provider.answered.numbers.get(number)?.has(pair) && !(isIndex(provider) && stage.traits.lies)) {
          return fail(
            `coverage of ${pair} claims block ${number} of ${row.chain} by ${row.provider}, which was never answered`,
          );
        }
        const hash = chain.block(number)?.hash ?? "";
        if (stage.traits.lies || !standing.get(row.chain) || provider.answered.hashes.get(hash)?.has(pair)) continue;
        // What was read of a head that was invented may have been read again since, by the final pass.
        const isReadSince = (one: CoverageRow) =>
          one.chain === row.chain &&
          one.from_block <= number &&
          one.to_block >= number &&
          pairKey(one.wallet, one.token) === pair &&
          providers[one.chain]
            .find(({ host }) => host === one.provider)
            ?.answered.hashes.get(hash)
            ?.has(pair) === true;
        if (stage.traits.future && rows.some(isReadSince)) continue;
        if (isIndex(provider) && provider.answered.lied.has(hash) && mayLookOld(row.chain, number)) continue;
        fail(
          `coverage of ${pair} claims block ${number} of ${row.chain} by ${row.provider}, which answered another branch`,
        );
      }
    }
    for (const payment of stage.payments) if (!stored.has(payment)) compareTransfer(payment, rows, standing);
  }

  /**
   * An index lists transfers a moment after their block, and only our clock and the block's time say when that was: they
   * mislead where our clock was wrong, and for a block in place of another one, which has nearly its time. Blockscout's
   * margin is less than a chain's clock may be behind.
   */
  function mayLookOld(id: SimChainId, number: number): boolean {
    const { blocks, orphaned } = chains[id];
    const isReplaced = [...orphaned.keys()].some((hash) => blocks.get(hash)?.number === number);
    const born_at = chains[id].block(number)?.born_at ?? 0;
    const wasWrong = stage.clock.wasWrong(born_at, stage.timeline.now());
    return isReplaced || wasWrong || indexKinds[id] === "blockscout";
  }

  /** What is covered and stands on the chain is in the table. */
  function compareTransfer(
    payment: Payment,
    rows: readonly CoverageRow[],
    standing: ReadonlyMap<SimChainId, boolean>,
  ): void {
    const { chain, tx, position, transfer: sent } = payment;
    const { id } = chain.traits as { id: SimChainId };
    const block = chain.whereIs(tx.hash);
    if (block === null || chain.transferAt(tx.hash, position) === null || !standing.get(id)) return;
    if (transfer.get(id, tx.hash, position) !== null) {
      stored.add(payment);
      return;
    }
    const pair = pairKey(sent.wallet, sent.token);
    const claim = rows.find(
      (row) =>
        row.chain === id &&
        row.wallet === sent.wallet &&
        row.token === sent.token &&
        row.from_block <= block.number &&
        row.to_block >= block.number,
    );
    const answered = providers[id].find(({ host }) => host === claim?.provider)?.answered;
    if (!answered?.hashes.get(block.hash)?.has(pair) || answered.lied.has(block.hash)) return;
    fail(`the transfer ${tx.hash} ${position} in block ${block.number} of ${id} is covered and not stored`);
  }

  /** Every event carries what the row of its type says. */
  function comparePayloads(): void {
    for (const event of typed.all(seen.typed)) {
      seen.typed = event.n;
      if (!isPayloadOf(event.type, event.body)) fail(`event ${event.n} is no ${event.type}: ${event.body}`);
    }
  }

  function compareDeliveries(): void {
    for (const { id, event, url } of successes.all(seen.success)) {
      seen.success = id;
      const { host } = new URL(url);
      const shop = [...stage.shops, stage.backOffice].find((one) => one.host === host);
      if (shop?.known.get(`evt_${event}`)?.accepted_at == null)
        fail(`evt_${event} is delivered and ${host} never took it`);
    }
  }

  function compareAllocations(): void {
    for (const row of allocated.all(seen.allocation)) {
      seen.allocation = row.id;
      const { chain } = row;
      const said = `the transfer ${row.tx_hash} ${row.position} paid ${row.order_id}`;
      const payment = stage.payments.find(({ tx, position }) => tx.hash === row.tx_hash && position === row.position);
      const invented = stage.invented.find((one) => one.tx_hash === row.tx_hash);
      if (invented !== undefined) {
        const token = stage.scenery.tokens.find(
          (one) => one.chain === chain && one.address === invented.transfer.token,
        );
        stage.count("invented and counted for a while");
        if (isSmall(chain, invented.transfer.units, token?.decimals ?? 0)) continue;
        return fail(`${said}, is above the first tier, and was invented`);
      }
      if (payment === undefined) return fail(`${said} and was never sent`);
      const block = chains[chain].blocks.get(row.block_hash);
      if (block === undefined || !block.txs.some(({ tx }) => tx.hash === payment.tx.hash))
        return fail(`${said} from a block it is not in`);
      if (row.block_time * 1000 < row.opened_at - clock_skew_s * 1000) fail(`${said}, opened after it`);
      if (row.opened_head !== null && row.block_number <= row.opened_head) fail(`${said}, opened above its block`);
      if (row.block_time * 1000 > row.expires_at) fail(`${said}, expired before it`);
      const read_at = Math.max(
        ...providers[chain].map(({ receipts }) => receipts.get(`${row.tx_hash} ${row.block_hash}`) ?? -1),
      );
      const was_wrong = stage.clock.wasWrong(
        row.seen_at - epoch_ms - wrongestClock(stage.traits) * 1000,
        stage.timeline.now(),
      );
      if (epoch_ms + read_at < row.seen_at && !was_wrong) fail(`${said} without a second reading of its receipt`);
      if (!stage.traits.deep && chains[chain].orphaned.has(row.block_hash))
        fail(`${said} from a block that left the chain`);
      compareIntent(payment, row, said);
    }
  }

  /**
   * Who paid what was asked, where it was asked, pays no stranger's order while the amount is still kept for him; and what
   * was asked of nobody, or went astray, pays none but the one it was sent for, or one that expects its sender.
   */
  function compareIntent(payment: Payment, row: Allocated, said: string): void {
    const { detail, sent_at } = payment;
    if (detail === null || detail.order.id === row.order_id) return;
    // No amount is kept for an order that a restore took.
    if (stage.lost.details.has(detail)) return;
    // The nearest amount decides, where nobody else could be meant: the oracle says who could.
    if ((row.kind === "tolerance" || row.kind === "over") && payment.kind !== "exact") return;
    if (
      payment.kind !== "exact" &&
      promised.get({ $deposit: row.deposit, $units: row.units, $sender: payment.transfer.sender }) !== null
    )
      return;
    const closed_at = closedAt.get(detail.order.id, detail.chain, String(detail.token.coin))?.closed_at ?? null;
    if (closed_at !== null && epoch_ms + sent_at > closed_at + leastLateWindow(closed_at)) return;
    // A clock that was wrong ends a quarantine too early or opens a deposit in the future.
    if (stage.clock.wasWrong(detail.order.created_at, stage.timeline.now())) return;
    fail(`${said}, meant for ${detail.order.id}`);
  }

  /** An order that the chain paid has what it asked for, or as little less as the rules of that time allow. */
  function compareSums(): void {
    const rules = stage.rules.since(summed.at);
    for (const { id, amount, received } of paid.all()) {
      if (summed.orders.has(id)) continue;
      summed.orders.add(id);
      const amounts = JSON.parse(received) as string[];
      const sum = amounts.reduce((all, one) => all + unitsOf(one, common_decimals), 0n);
      const price = unitsOf(amount, common_decimals);
      if (sum < price && !rules.some(({ underpaid }) => isWithin(sum, price, underpaid, common_decimals)))
        fail(`${id} was paid by ${amounts.join(" and ")}`);
    }
    summed.at = stage.timeline.now();
  }

  /** The last block that counts as final by the settings: a count of blocks goes on while a tag stands still. */
  function lastOf(id: SimChainId): number {
    const { final }: { final: Finality } = readings[id];
    const { number } = chains[id].head();
    return final.tag === undefined ? number + 1 - (final.blocks ?? 1) : chains[id].finalNumber();
  }

  /** No promise ends before the chain has passed its late window for good. */
  function compareReleases(): void {
    for (const { id, chain, closed_at } of released.all()) {
      if (judged.has(id)) continue;
      judged.add(id);
      const final = chains[chain].block(lastOf(chain));
      if ((final?.time ?? 0) * 1000 < closed_at + leastLateWindow(closed_at))
        fail(`the amount of deposit ${id} was released early`);
    }
  }

  /** Above the head nothing counts as read, but for what another provider has shown to be final. */
  function compareHeads(): void {
    for (const { chain, pass, to_block, head_number } of readAbove.all()) {
      if (pass === "final" && to_block <= lastOf(chain)) continue;
      fail(`blocks above the head count as read: ${chain} ${to_block} ${head_number}`);
    }
  }

  /** The shortest late window since a deposit was closed, ms. */
  function leastLateWindow(closed_at: number): number {
    const wasWrong = stage.clock.wasWrong(0, stage.timeline.now());
    return stage.rules.leastLateWindow(wasWrong ? 0 : closed_at - epoch_ms);
  }

  function compareSockets(): void {
    if (stage.timeline.now() - stage.committed_elsewhere_at < notice_ms || !server.isReady()) return;
    const now = new Map(statuses.all().map(({ id, status }) => [id, status]));
    for (const { id, sockets } of stage.orders.values()) {
      for (const { life, statuses: told, closed } of sockets) {
        const status = now.get(id);
        const shown = told.at(-1);
        if (closed === 1000 && shown === "pending") fail(`a socket of ${id} ended while it was pending`);
        if (life !== server.life() || closed !== null) continue;
        if (shown !== status) fail(`a socket of ${id} shows ${told.join(" ")} and the order is ${status}`);
        if (status !== "pending") fail(`a socket of ${id}, which is ${status}, is still open`);
      }
    }
  }

  return {
    begin() {
      seen.success = newestAttempt.get()?.id ?? 0;
      seen.allocation = allocated.all(0).at(-1)?.id ?? 0;
      oracle.begin();
    },
    check(thorough = false) {
      judgeRestore(stage, db);
      const { data_version } = version.get() ?? { data_version: 0 };
      if (data_version === seen.version && !thorough) return;
      seen.version = data_version;
      compareCoverage(thorough);
      compareDeliveries();
      compareReleases();
      const n = lastEvent.get()?.n ?? 0;
      if (n !== seen.event || thorough) {
        seen.event = n;
        comparePayloads();
        askQuestions();
        compareHeads();
        compareAllocations();
        compareSums();
        oracle.check();
        compareSockets();
      }
    },
  };
}
