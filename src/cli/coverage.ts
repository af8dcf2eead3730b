// `ocrch coverage`: for every wallet, up to where its transfers are accounted for and what is outstanding. Reads rows
// only, so it tells the truth beside a running server and without one.

import { chainIds } from "../domain/assets.ts";
import type { ChainCoverage, GapEnd, WatchCoverage } from "../services/coverage.ts";
import { chainCoverageShape } from "../wire/coverage.ts";
import { withOperator } from "./appliance.ts";
import { type Command, choiceArgument, command, commonFlags, jsonFlag, type Tools } from "./command.ts";
import { isoSeconds, isoTime, printable } from "./table.ts";

/** A head that was this old when it was seen is worth a word: the chain, or its node, stood still. */
const old_head_s = 600;

/** `ocrch coverage`. */
export function coverageCommand(tools: Tools): Command {
  const args = { chain: choiceArgument(chainIds, "Only this chain"), ...jsonFlag, ...commonFlags } as const;
  return command("coverage", "Show up to where every transfer is accounted for", args, async (args) => {
    const chains = await withOperator(tools, args, ({ operator }) => operator.coverage(args.chain));
    const now = tools.world.now();
    tools.world.print(
      args.json
        ? JSON.stringify(chains.map(chainCoverageShape), null, 2)
        : chains.map((chain) => chainWords(chain, now)).join("\n\n"),
    );
  });
}

function chainWords({ chain, row, balances, history, watches }: ChainCoverage, now: number): string {
  // Contracts of a wallet that were read alike are told in one breath.
  const alike = Map.groupBy(watches, ({ token: _, label, offered: __, ...same }) =>
    JSON.stringify([same, same.unexplained.length > 0 ? label : ""]),
  );
  return [
    chain,
    `  ${headWords(row, now)}`,
    ...(row?.stalled_since == null
      ? []
      : [`  stalled since ${isoTime(row.stalled_since)}: ${printable(row.stalled_reason ?? "")}`]),
    ...checkLines(balances, history).map((line) => `  ${line}`),
    ...(watches.length === 0 ? ["  no wallet is read"] : []),
    ...[...alike.values()].flatMap((group) => watchLines(group, row?.head_number ?? null)),
  ].join("\n");
}

function headWords(row: ChainCoverage["row"], now: number): string {
  if (row === null || row.head_number === null || row.head_time === null || row.last_read_at === null) {
    return "never reached: nothing is accounted for";
  }
  const seen_s = Math.floor(row.last_read_at / 1000);
  const age_s = seen_s - row.head_time;
  const old = age_s >= old_head_s ? `, ${age_s} s old by then` : "";
  const ago_s = Math.max(0, Math.floor(now / 1000) - seen_s);
  return `head ${row.head_number} of ${isoSeconds(row.head_time)}, seen ${isoSeconds(seen_s)} (${ago_s} s ago${old}); final ${row.final_number}`;
}

function watchLines(group: readonly WatchCoverage[], head: number | null): string[] {
  const [watch] = group;
  if (watch === undefined) return [];
  const offered = group.filter((one) => one.offered).map((one) => one.label);
  const others = group.filter((one) => !one.offered).map((one) => one.label);
  const names = [...offered, ...(others.length > 0 ? [`${others.join(", ")} (watched, not offered)`] : [])].join(", ");
  const removed = watch.configured ? "" : "; no longer configured, read until what was promised on it is over";
  return [`  ${watch.wallet} ${printable(names)}${removed}`, ...stateLines(watch, head).map((line) => `    ${line}`)];
}

function stateLines(watch: WatchCoverage, head: number | null): string[] {
  const { from, through, outstanding, final_through, providers } = watch;
  if (from === null || outstanding === null) return ["the watch has not begun: nothing is accounted for"];
  const left = `${outstanding === 1 ? "1 block" : `${outstanding === 0 ? "no" : outstanding} blocks`} outstanding up to head ${head}`;
  const final = final_through === null ? "nothing was read finally" : `read finally through block ${final_through}`;
  return [
    through === null
      ? `nothing is accounted for yet from ${endWords(from)} on; ${left}`
      : `every transfer between ${endWords(from)} and ${endWords(through)} is accounted for; ${left}`,
    ...(outstanding === 0 ? [] : [`outstanding: ${gapWords(watch)}`]),
    `${final}${providers.length === 0 ? "" : `; answered by ${printable(providers.join(", "))}`}`,
    ...balanceLines(watch),
  ];
}

function checkLines(balances: ChainCoverage["balances"], history: ChainCoverage["history"]): string[] {
  const missed = (balances?.missed ?? 0) + (history?.missed ?? 0);
  const index = printable(history?.provider ?? "an index");
  return [
    ...checkWords(balances, "balances", "recorded transfers"),
    ...checkWords(history, "recorded transfers", index),
    ...(missed === 0 ? [] : [`MISSED BY THE SCAN and found by a comparison: ${counted(missed, "transfer")}`]),
    ...(history === null || history.doubts === 0
      ? []
      : [`unknown to ${index}: ${counted(history.doubts, "transfer")}`]),
  ];
}

function checkWords(check: ChainCoverage["balances"], what: string, to: string): string[] {
  if (check === null) return [];
  const { ran_at, error, error_at } = check;
  return [
    ...(ran_at === null ? [] : [`${what} compared with ${to} ${isoTime(ran_at)}`]),
    ...(error === null ? [] : [`${what} not compared with ${to} ${isoTime(error_at)}: ${printable(error)}`]),
  ];
}

function balanceLines({ balance, unexplained, label }: WatchCoverage): string[] {
  if (balance === null) return ["no balance was read yet"];
  const { since_block, block, time } = balance;
  const through = `block ${block} (${isoSeconds(time)})`;
  const agreed =
    since_block === block
      ? `balance read at ${through}`
      : `balance compared between block ${since_block} and ${through}`;
  if (unexplained.length === 0) return [`${agreed}${since_block === block ? "" : ": all of it is explained"}`];
  return [
    agreed,
    ...unexplained.map(({ id, after_block, through_block, difference, opened_at, stuck }) => {
      const where =
        through_block - after_block === 1
          ? `in block ${through_block}`
          : `between block ${after_block + 1} and block ${through_block}`;
      const narrow = stuck === null ? "" : `; cannot be narrowed: ${stuck}`;
      return `UNEXPLAINED ${difference} ${printable(label)} ${where}, since ${isoTime(opened_at)} (case ${id}${narrow})`;
    }),
  ];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function endWords({ block, time }: GapEnd): string {
  return time === null ? `block ${block}` : `block ${block} (${isoSeconds(time)})`;
}

function gapWords({ gaps, gaps_count }: WatchCoverage): string {
  const listed = gaps.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
  const more = gaps_count - gaps.length;
  return more > 0 ? `${listed} and ${more} more stretches` : listed;
}
