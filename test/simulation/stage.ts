// What every actor of one simulated world shares: time, chance, chains with their providers, shops, the server, and
// the book of what was asked, promised and paid, which the product never sees.

import type { Chain, SimTransfer, SimTx } from "./chain.ts";
import type { Party } from "./parties.ts";
import type { Server } from "./process.ts";
import type { Invented, Provider } from "./provider.ts";
import type { Random } from "./random.ts";
import type { RuleBook } from "./rule-book.ts";
import type { Scenery, SimChainId, SimToken } from "./scenery.ts";
import type { Choice } from "./settings.ts";
import type { Shop } from "./shops.ts";
import type { Timeline } from "./timeline.ts";
import { epoch_ms, type Life } from "./world.ts";

export interface SimSocket {
  life: Life;
  statuses: string[];
  closed: number | null;
}

/** What a payer was told to send. */
export interface Detail {
  order: BookOrder;
  chain: SimChainId;
  wallet: string;
  amount: string;
  token: SimToken;
  units: bigint;
  /** When the payer was told, virtual ms. */
  told_at: number;
}

export interface BookOrder {
  id: string;
  merchant_order_id: string;
  amount: string;
  shop: Shop;
  sender: string | null;
  /** Whose wallet pays it, when nobody says otherwise: a customer's own, one that pays several orders, or an exchange's. */
  payer: string;
  /** The page on which it is paid, and the order of the network that it is for; null for what a shop created. */
  page: { path: string; order: string } | null;
  /** Opened to take what somebody else sends; nobody means to pay it. */
  is_trap: boolean;
  details: Detail[];
  /** Virtual ms. */
  created_at: number;
  /** Asked for by the payer or an operator, whether it was answered or not. */
  cancelled: boolean;
  marked: boolean;
  resends: number;
  sockets: SimSocket[];
}

/** What is said of a payment when it is sent, before the product has seen it. */
export interface Statement {
  /** The order the payer means to pay. Null: nobody asked for it. */
  meant: BookOrder | null;
  /** Why the rest is so, in a word or two. */
  rule:
    | "exact"
    | "remainder"
    | "clear part"
    | "clear overpayment"
    | "clear tolerance"
    | "clear split"
    | "nobody"
    | "other sender"
    | "dust"
    | "open";
  /** The one order that it has to pay when it comes in time. */
  must: BookOrder | null;
  /** Orders that it may pay, by the rules of parts, remainders and overpayments. */
  may: ReadonlySet<string>;
}

/** One transfer that an actor sent. */
export interface Payment {
  /** `exact` is what was asked for, where and by whom; everything else has its own word. */
  kind: string;
  detail: Detail | null;
  chain: Chain;
  tx: SimTx;
  position: number;
  transfer: SimTransfer;
  /** Virtual ms. */
  sent_at: number;
  /** What was said of it when it was sent. */
  statement: Statement;
}

/** A payer's word that a transaction pays his order, and what he was told. */
export interface Claim {
  order: BookOrder;
  payment: Payment;
  status: string;
  /** Virtual ms. */
  answered_at: number;
}

/** The event log as it was read from outside. */
export interface ReadEvents {
  /** The highest number that was ever read. */
  last(): number;
  /** What was read under a number. */
  known: Map<number, string>;
}

/** What a restore took from the database while somebody outside may still know it. */
export interface Lost {
  orders: Map<string, BookOrder>;
  /** Of lost orders, and places and amounts that a payer of a known order was told after the copy was made. */
  details: Set<Detail>;
  /** Bodies of events that only the replaced databases had, by number. */
  events: Map<number, Set<string>>;
  restores: Restore[];
}

export interface Restore {
  /** When the copy took the place of the database, virtual ms. */
  at: number;
  last_in_copy: number;
  /** The highest event number that anybody outside had seen by then. */
  given_out: number;
  /** Generations that began within the copy. */
  begun_in_copy: number;
  /** Whether the next start must begin a generation, must not, or may (null). */
  must_begin: boolean | null;
  /** The next start has been looked at. */
  is_judged: boolean;
  /** Wallets that the settings named at every start until then. */
  wallets: string[];
  /** Orders of the copy that were paid in the replaced database, by payments of exactly what was asked. */
  paid: { order: BookOrder; payment: Payment; detail: Detail }[];
}

/** What may happen in a world, drawn from its seed. */
export interface Traits {
  /** Providers that hide logs or live on a dead branch. */
  lies: boolean;
  /** Reorganisations deeper than small payments wait for. */
  deep: boolean;
  crashes: boolean;
  /** Outages and answers that fail. */
  faults: boolean;
  /** The wall clock of the server's machine is set wrong and right again. */
  clock: boolean;
  /** It is set wrong by hours. */
  clock_hours: boolean;
  /** Once, all providers of a chain are away for two hours. */
  long_outage: boolean;
  /** A chain goes on without finalising anything for a while. */
  stalls: boolean;
  /** Providers that for a poll show a head far above the chain's. */
  future: boolean;
  /** Blocks and receipts that no provider serves for a while. */
  unserved: boolean;
  /** Chains have an index, which is read instead of nodes or compared with them. */
  indexes: boolean;
  /** A merchant of the Opencharge network has its orders paid here. */
  network: boolean;
  /** The database is put back to an older copy. */
  restores: boolean;
  /** A little less than asked pays, too. */
  tolerance: boolean;
  /** Rules of orders that change while the server runs. */
  new_rules: boolean;
  /** One provider of three shows payments that never were. */
  invents: boolean;
  /** A coin's contract is replaced, or joined by another, while the server runs. */
  new_contract: boolean;
  /** Payers choose the address that is expected of them, and name an exchange's. */
  exchange: boolean;
}

export interface Stage {
  seed: number;
  traits: Traits;
  timeline: Timeline;
  random: Random;
  server: Server;
  scenery: Scenery;
  /** Of the scenery's chains, no others. */
  chains: Record<SimChainId, Chain>;
  providers: Record<SimChainId, Provider[]>;
  shops: Shop[];
  /** Of the Opencharge network: they are told of payments. */
  parties: Party[];
  backOffice: Shop;
  orders: Map<string, BookOrder>;
  /** What restores took from the database. */
  lost: Lost;
  /** The event log as it was read from outside. */
  read: ReadEvents;
  payments: Payment[];
  /** Payments that one provider has shown and nobody sent. */
  invented: (Invented & { chain: SimChainId })[];
  /** The oracle takes them out. */
  claims: Claim[];
  /** What payers were told of orders that asked for more before: the oracle takes them out. */
  told: Detail[];
  /** What the settings name now. */
  choice: Choice;
  /** What its rules were, and when. */
  rules: RuleBook;
  clock: Clock;
  /** The last commit of another process, virtual ms. */
  committed_elsewhere_at: number;
  /** Commands that have the database open beside the server. */
  commands: number;
  note(line: string): void;
  /** Adds to the tally of what happened: `group kind`. */
  count(kind: string): void;
  fail(words: string): void;
}

/** The wall clock of the server's machine: virtual time and how wrong it is. */
export interface Clock {
  /** ms, as the server sees it. */
  now(): number;
  /** Sets it wrong by so many ms; 0 sets it right. */
  set(wrong_ms: number): void;
  /** Whether it was wrong at any time between two virtual times. */
  wasWrong(from: number, to: number): boolean;
}

/** A clock that is right. */
export function createClock(timeline: Timeline): Clock {
  const wrong: { from: number; to: number }[] = [];
  let wrong_ms = 0;
  return {
    now: () => epoch_ms + Math.floor(timeline.now()) + wrong_ms,
    set(next_ms) {
      const open = wrong.at(-1);
      if (wrong_ms !== 0 && open !== undefined) open.to = timeline.now();
      if (next_ms !== 0) wrong.push({ from: timeline.now(), to: Number.POSITIVE_INFINITY });
      wrong_ms = next_ms;
    },
    wasWrong: (from, to) => wrong.some((time) => time.from <= to && time.to >= from),
  };
}

/** The time everybody else goes by, ms. */
export function wallOf(stage: Stage): number {
  return epoch_ms + Math.floor(stage.timeline.now());
}
