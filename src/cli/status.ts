// `ocrch status`: how orders, deliveries, chains and providers are doing. Reads rows only, so it answers beside a
// running server and without one.

import { version } from "../../package.json";
import { gaps, union } from "../domain/coverage.ts";
import { orderStatuses } from "../domain/order.ts";
import type { CoinCapacity } from "../services/capacity.ts";
import type { ChainStatus, Status } from "../services/operator.ts";
import { clockError } from "../storage/clocks.ts";
import { coveredBlocks, watchesOf } from "../storage/coverage.ts";
import type { Reader } from "../storage/engine/database.ts";
import { withOperator } from "./appliance.ts";
import { type Command, command, commonFlags, jsonFlag, type Tools } from "./command.ts";
import { formatTable, isoSeconds, isoTime, printable } from "./table.ts";

/** Fewer further orders of one amount than this are worth a warning. */
const scarce_below = 50;

const unserved = 'no chain is watched and no shop is told; start "ocrch serve" or "systemctl start ocrch"';

/** `ocrch status`. */
export function statusCommand(tools: Tools): Command {
  const args = { ...jsonFlag, ...commonFlags } as const;
  return command("status", "Show orders, deliveries, chains and providers at a glance", args, async (args) => {
    const view = await withOperator(tools, args, ({ operator, database, is_served }) => {
      const status = operator.status();
      const capacity = operator.capacity(tools.world.now());
      const clock_error_ms = database.read((at) => clockError(at, tools.world.now()));
      return database.read((at) =>
        viewOf({ status, capacity, is_served, clock_error_ms }, (chain) => unreadBlocks(at, chain)),
      );
    });
    tools.world.print(args.json ? JSON.stringify(view, null, 2) : words(view, tools.world.now()));
  });
}

type View = ReturnType<typeof viewOf>;
type ChainView = ReturnType<typeof chainView>;

/** What `--json` prints: times in seconds, as in the API. */
function viewOf(
  {
    status,
    capacity,
    is_served,
    clock_error_ms,
  }: { status: Status; capacity: readonly CoinCapacity[]; is_served: boolean; clock_error_ms: number | null },
  unread: (chain: ChainStatus) => number | null,
) {
  const { waiting, delivered, gave_up } = status.deliveries;
  return {
    version,
    server: is_served ? "running" : "not running",
    clock_ahead_s: clock_error_ms === null ? null : Math.round(clock_error_ms / 1000),
    orders: Object.fromEntries(orderStatuses.map((name) => [name, status.orders.get(name) ?? 0])),
    deliveries: { waiting, delivered, gave_up },
    chains: status.chains.map((chain) => chainView(chain, unread(chain))),
    amounts: capacity.map(({ chain, coin, promised, amounts }) => ({
      blockchain: chain,
      stablecoin: coin,
      promised,
      asked: amounts.map(({ amount, last_hour, left, exhausted_in_ms }) => ({
        amount,
        last_hour,
        left,
        exhausted_in: seconds(exhausted_in_ms),
      })),
    })),
  };
}

function chainView({ row, ...chain }: ChainStatus, unread_blocks: number | null) {
  return {
    blockchain: chain.id,
    head_block: row?.head_number ?? null,
    head_timestamp: row?.head_time ?? null,
    final_block: row?.final_number ?? null,
    final_timestamp: row?.final_time ?? null,
    unread_blocks,
    seconds_per_block: row?.ms_per_block == null ? null : row.ms_per_block / 1000,
    usual_seconds_per_block: chain.usual_pace,
    last_read_at: seconds(row?.last_read_at),
    stalled_since: seconds(row?.stalled_since),
    stalled_reason: row?.stalled_reason ?? null,
    held_since: seconds(row?.held_since),
    held_reason: row?.held_reason ?? null,
    unread_since: seconds(row?.unread_since),
    unread_reason: row?.unread_reason ?? null,
    wallets: chain.wallets,
    contracts: chain.contracts,
    given_up_blocks: chain.given_up,
    open_deposits: chain.open_slots,
    quarantined_amounts: chain.quarantined_slots,
    ...checksView(chain),
    providers: chain.providers.map((provider) => ({
      provider: provider.provider,
      state: provider.state,
      state_until: seconds(provider.state_until),
      score: provider.score,
      lag: provider.lag_s,
      latency_ms: provider.latency_ms,
      calls_today: provider.day_calls,
      oldest_block: provider.oldest_block,
      calls: provider.calls,
      failures: provider.failures,
      refused_answers: provider.refused_answers,
      learned_range: provider.learned_range,
      last_error: provider.last_error,
      last_error_at: seconds(provider.last_error_at),
    })),
  };
}

function checksView({ checks, unexplained_balances }: Pick<ChainStatus, "checks" | "unexplained_balances">) {
  const [balances, history] = (["balances", "history"] as const).map((kind) => checks.find((one) => one.kind === kind));
  const failed = [balances, history].filter((one) => one?.error != null)[0];
  return {
    missed_by_scan: checks.reduce((sum, { missed }) => sum + missed, 0),
    unexplained_balances,
    balances_compared_at: seconds(balances?.ran_at),
    index_compared_at: seconds(history?.ran_at),
    comparison_error: failed?.error ?? null,
    comparison_error_at: seconds(failed?.error_at),
  };
}

/** Blocks up to the head in which some wallet's transfers are not accounted for yet; null before the first reading. */
function unreadBlocks(at: Reader, { id, row }: ChainStatus): number | null {
  const head = row?.head_number;
  if (head === null || head === undefined) return null;
  const missing = watchesOf(at, id).flatMap(({ id, start_block }) =>
    start_block === null ? [] : gaps(coveredBlocks(at, id), start_block, head),
  );
  return union(missing).reduce((sum, { from, to }) => sum + to - from + 1, 0);
}

function words(view: View, now: number): string {
  const providers = view.chains.flatMap((chain) =>
    chain.providers.map((provider) => ({ ...provider, chain: chain.blockchain })),
  );
  const scarce = view.amounts.flatMap(({ blockchain, stablecoin, asked }) =>
    asked.filter((one) => one.left < scarce_below).map((one) => ({ blockchain, stablecoin, ...one })),
  );
  const stalls = view.chains.filter((chain) => chain.stalled_since !== null);
  const checked = view.chains.filter(
    (chain) => chain.balances_compared_at ?? chain.index_compared_at ?? chain.comparison_error,
  );
  const unread = view.chains.filter((chain) => chain.unread_since !== null);
  const held = view.chains.filter((chain) => chain.held_since !== null);
  return [
    formatTable(
      [
        ["server", view.server === "running" ? view.server : `${view.server}: ${unserved}`],
        ...(view.clock_ahead_s === null ? [] : [["clock", clockWords(view.clock_ahead_s)] as const]),
        ["orders", counted(view.orders)],
        ["deliveries", counted(view.deliveries)],
      ] as const,
      [{ value: ([what]) => what }, { value: ([, counts]) => counts }],
    ),
    formatTable(view.chains, [
      { title: "CHAIN", value: (chain) => chain.blockchain },
      { title: "STATE", value: stateOf },
      { title: "HEAD", value: (chain) => chain.head_block, right: true },
      { title: "FINAL", value: (chain) => chain.final_block, right: true },
      { title: "s/BLOCK", value: (chain) => chain.seconds_per_block, right: true },
      { title: "UNREAD", value: (chain) => chain.unread_blocks, right: true },
      { title: "LAST READ", value: (chain) => lastRead(chain, now) },
      { title: "WALLETS", value: (chain) => chain.wallets, right: true },
      { title: "CONTRACTS", value: (chain) => chain.contracts, right: true },
      { title: "OPEN DEPOSITS", value: (chain) => chain.open_deposits, right: true },
      { title: "QUARANTINED", value: (chain) => chain.quarantined_amounts, right: true },
    ]),
    ...(scarce.length === 0
      ? []
      : [
          formatTable(scarce, [
            { title: "CHAIN", value: (one) => one.blockchain },
            { title: "COIN", value: (one) => one.stablecoin },
            { title: "AMOUNT", value: (one) => one.amount, right: true },
            { title: "LAST HOUR", value: (one) => one.last_hour, right: true },
            { title: "MORE THAT CAN BE TOLD APART", value: (one) => one.left, right: true },
            { title: "EXHAUSTED IN", value: (one) => `${Math.floor((one.exhausted_in ?? 0) / 60)} min`, right: true },
          ]),
        ]),
    ...stalls.map((chain) => printable(`${chain.blockchain} ${stateOf(chain)}: ${chain.stalled_reason}`)),
    ...view.chains.flatMap(paceAlarm),
    ...checked.flatMap(alarms),
    ...held.map((chain) =>
      printable(`${chain.blockchain} since ${isoSeconds(chain.held_since)}: ${chain.held_reason}`),
    ),
    ...view.chains.flatMap((chain) =>
      chain.given_up_blocks.map(({ from, to, wallet, label }) =>
        printable(
          `${chain.blockchain} blocks ${from} to ${to} were never read for ${label} on ${wallet}: a payment in them is unknown, and the amounts reserved then were released`,
        ),
      ),
    ),
    ...unread.map((chain) =>
      printable(`${chain.blockchain} not read since ${isoSeconds(chain.unread_since)}: ${chain.unread_reason}`),
    ),
    ...(checked.length === 0
      ? []
      : [
          formatTable(checked, [
            { title: "CHAIN", value: (chain) => chain.blockchain },
            { title: "MISSED BY SCAN", value: (chain) => chain.missed_by_scan, right: true },
            { title: "UNEXPLAINED BALANCES", value: (chain) => chain.unexplained_balances, right: true },
            { title: "BALANCES COMPARED", value: (chain) => isoSeconds(chain.balances_compared_at) },
            { title: "INDEX COMPARED", value: (chain) => isoSeconds(chain.index_compared_at) },
            { title: "LAST ERROR", value: (chain) => chain.comparison_error },
          ]),
        ]),
    ...(providers.length === 0
      ? []
      : [
          formatTable(providers, [
            { title: "CHAIN", value: (provider) => provider.chain },
            { title: "PROVIDER", value: (provider) => provider.provider },
            { title: "STATE", value: providerState },
            { title: "SCORE", value: (provider) => provider.score, right: true },
            { title: "LAG s", value: (provider) => provider.lag, right: true },
            { title: "ms", value: (provider) => provider.latency_ms, right: true },
            { title: "CALLS TODAY", value: (provider) => provider.calls_today, right: true },
            { title: "CALLS", value: (provider) => provider.calls, right: true },
            { title: "FAILURES", value: (provider) => provider.failures, right: true },
            { title: "REFUSED ANSWERS", value: (provider) => provider.refused_answers, right: true },
            { title: "RANGE", value: (provider) => provider.learned_range, right: true },
            { title: "OLDEST", value: (provider) => provider.oldest_block, right: true },
            { title: "LAST ERROR AT", value: (provider) => isoSeconds(provider.last_error_at) },
            { title: "LAST ERROR", value: (provider) => provider.last_error },
          ]),
        ]),
  ].join("\n\n");
}

/** A line for a chain whose blocks come faster or slower than is stated of it. */
function paceAlarm({ blockchain, seconds_per_block, usual_seconds_per_block: usual }: ChainView): string[] {
  if (seconds_per_block === null || usual === null) return [];
  const { least, most } = usual;
  if (seconds_per_block >= least && seconds_per_block <= most) return [];
  return [
    `${blockchain}: ${seconds_per_block} s from block to block, expected ${least} to ${most}: set "finality" of the chain in seconds`,
  ];
}

function clockWords(ahead_s: number): string {
  const off = `${Math.abs(ahead_s)} s ${ahead_s > 0 ? "ahead" : "behind"}`;
  return `this machine's clock is ${off}; set it (timedatectl set-ntp true): no amount is released meanwhile`;
}

function alarms({ blockchain, missed_by_scan: missed, unexplained_balances: unexplained }: ChainView): string[] {
  return [
    ...(missed === 0
      ? []
      : [
          `${blockchain}: transfers that the scan missed: ${missed}; a provider hides logs ("ocrch coverage" says more)`,
        ]),
    ...(unexplained === 0
      ? []
      : [
          `${blockchain}: changes of a balance that no transfer explains: ${unexplained} ("ocrch coverage" says where)`,
        ]),
  ];
}

function counted(counts: Record<string, number>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${count} ${name.replaceAll("_", " ")}`)
    .join(", ");
}

function stateOf(chain: ChainView): string {
  if (chain.stalled_since !== null) return `stalled since ${isoSeconds(chain.stalled_since)}`;
  return chain.last_read_at === null ? "not read yet" : "read";
}

function providerState({ state, state_until }: ChainView["providers"][number]): string {
  const words = state.replaceAll("_", " ");
  return state_until === null ? words : `${words} until ${isoSeconds(state_until)}`;
}

function lastRead(chain: ChainView, now: number): string | null {
  if (chain.last_read_at === null) return null;
  const ago_s = Math.max(0, Math.floor(now / 1000) - chain.last_read_at);
  return `${isoTime(chain.last_read_at * 1000)} (${ago_s} s ago)`;
}

function seconds(ms: number | null | undefined): number | null {
  return ms === null || ms === undefined ? null : Math.floor(ms / 1000);
}
