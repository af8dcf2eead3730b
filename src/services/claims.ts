// A payer names the transaction of a payment that does not show. Looks it up, so that it counts as if it had been read
// by the scan; what does not settle the payer's own order exactly goes to a person. A claim by itself pays nothing.

import type { LiveConfig } from "../config/config.ts";
import type { ChainId } from "../domain/assets.ts";
import { weakestClaim } from "../domain/candidates.ts";
import { errorText, Fault } from "../domain/errors.ts";
import { addressGroup } from "../domain/network.ts";
import type { ClaimStatus, Transfer } from "../domain/payment.ts";
import { canonicalTxHash, hashInText } from "../domain/tx-hash.ts";
import { createWindowCounter } from "../limits/window-counter.ts";
import { paidOrder } from "../storage/allocations.ts";
import { quotesOfClaimant } from "../storage/candidate-search.ts";
import { claimantsOf, deleteClaim, insertClaim, transfersOfTransaction } from "../storage/claims.ts";
import { depositsOf } from "../storage/deposits.ts";
import type { Database, Tx } from "../storage/engine/database.ts";
import { orderById } from "../storage/orders.ts";
import { type TransferRow, transferById } from "../storage/transfers.ts";
import type { Telemetry } from "../telemetry.ts";
import type { World } from "../world.ts";
import type { Settlement } from "./settlement.ts";

const claims_per_minute_max = 5;
/** Over all payers: the providers' patience is for reading blocks. */
const look_ups_per_minute_max = 60;
/** Of an order, so many an hour are counted apart from the others: who asks often uses up nobody else's. */
const first_look_ups_max = 3;
/** What is kept of claims to one transfer: those that most speak for their orders, of equals the first. */
const claims_per_transfer_max = 5;
const minute_ms = 60_000;
const hour_ms = 60 * minute_ms;
const remembered_max = 10_000;
const look_up_timeout_ms = 10_000;
const not_looked_up_retry_s = 30;
const [first_ones, further_ones] = ["first", "further"];

export interface ClaimAnswer {
  status: ClaimStatus;
  /** The same in words for the payer. */
  text: string;
  /** Where it was found. */
  chain: ChainId | null;
  tx_hash: string;
}

/** The transfers of one transaction to watched wallets, as the chain shows them; null while it is not mined. Faults: provider_*. */
export type TransferLookup = (chain: ChainId, tx_hash: string) => Promise<Transfer[] | null>;

export interface Claims {
  /**
   * Answers a payer of an order. Faults: order_not_found, invalid_request (no hash), too_many_requests, not_looked_up
   * (the chain could not be asked).
   */
  claim(order_id: string, text: string, client: string): Promise<ClaimAnswer>;
}

interface Place {
  chain: ChainId;
  tx_hash: string;
}

const words = {
  accepted: "the payment was found and counts as soon as it is confirmed",
  counted: "this payment counts for this order already",
  elsewhere: "this transaction counts for another payment already",
  in_inbox: "the transaction was found; it does not settle this order by itself, so the merchant will look at it",
  not_mined: "no such transaction was found so far; try again once it is mined",
  nothing: "this transaction brings nothing to the merchant",
} as const;
type Standing = keyof typeof words;

const statuses: Record<Standing, ClaimStatus> = {
  accepted: "accepted",
  counted: "already_counted",
  elsewhere: "already_counted",
  in_inbox: "in_inbox",
  not_mined: "not_found",
  nothing: "not_found",
};

/** Of several transfers in one transaction the best one answers. */
const best_first: readonly Standing[] = ["accepted", "counted", "in_inbox", "elsewhere"];

/** Claims over one database. `lookUp` asks a chain and is never called inside a transaction. */
export function createClaims(needs: {
  database: Database;
  config: LiveConfig;
  settlement: Settlement;
  lookUp: TransferLookup;
  world: World;
  telemetry: Telemetry;
}): Claims {
  const { database, config, settlement, world, telemetry } = needs;
  const counter = (max: number) => createWindowCounter({ world, max, window_ms: minute_ms, remembered_max });
  const [by_order, by_client, by_all] = [
    counter(claims_per_minute_max),
    counter(claims_per_minute_max),
    counter(look_ups_per_minute_max / 2),
  ];
  const first = createWindowCounter({ world, max: first_look_ups_max, window_ms: hour_ms, remembered_max });

  /** Where the transaction may be: first where the order can be paid, then wherever its hash is spelled so. */
  function placesOf(order_id: string, text: string): Place[] {
    const own = database.read((at) => depositsOf(at, order_id)).map((deposit) => deposit.chain);
    const all = [...config.current().chains.keys()];
    const spelled = all.filter((chain) => canonicalTxHash(chain, text) === text || own.length === 0);
    return [...new Set([...own.filter((chain) => all.includes(chain)), ...spelled])].flatMap((chain) => {
      const tx_hash = canonicalTxHash(chain, text);
      return tx_hash === null ? [] : [{ chain, tx_hash }];
    });
  }

  function checkRate(order_id: string, client: string): void {
    const wait_ms = Math.max(by_order.take(order_id), by_client.take(addressGroup(client)));
    if (wait_ms > 0) throw new Fault("too_many_requests", undefined, Math.ceil(wait_ms / 1000));
  }

  /** Null: nobody knows it. An empty list: it is mined and brings nothing. Fault: not_looked_up. */
  async function find(
    places: readonly Place[],
    order_id: string,
  ): Promise<{ place: Place; rows: TransferRow[] } | null> {
    for (const place of places) {
      const rows = database.read((at) => transfersOfTransaction(at, place.chain, place.tx_hash));
      if (rows.length > 0) return { place, rows };
    }
    const lane = first.take(order_id) === 0 ? first_ones : further_ones;
    if (by_all.take(lane) > 0) throw new Fault("not_looked_up", undefined, not_looked_up_retry_s);
    let unheard = false;
    const until = world.elapsed() + look_up_timeout_ms;
    for (const place of places) {
      try {
        const found = await inTime(needs.lookUp(place.chain, place.tx_hash), until - world.elapsed());
        if (found !== null) return { place, rows: await settlement.admit(found, `claimed for order ${order_id}`) };
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        unheard = true;
        telemetry.warn("claim_not_looked_up", { chain: place.chain, code: error.code, error: errorText(error) });
      }
    }
    if (unheard) throw new Fault("not_looked_up", undefined, not_looked_up_retry_s);
    return null;
  }

  async function inTime<T>(work: Promise<T>, timeout_ms: number): Promise<T> {
    const done = new AbortController();
    const late = world.sleep(Math.max(0, timeout_ms), done.signal).then(() => {
      throw new Fault("provider_unreachable", "no answer in time");
    });
    // Whichever loses must not fail unheard.
    for (const one of [work, late]) one.catch(() => {});
    try {
      return await Promise.race([work, late]);
    } finally {
      done.abort();
    }
  }

  /** What a transfer is to an order, and the claim to it where a person has to decide. */
  function stand(tx: Tx, id: number, order_id: string): Standing {
    const row = transferById(tx, id);
    if (row === null || row.status === "failed_to_confirm") return "not_mined";
    const paid = paidOrder(tx, id);
    if (paid !== null) return paid === order_id ? (row.reverted_at === null ? "counted" : "in_inbox") : "elsewhere";
    const bound = row.deposit;
    if (bound !== null && !depositsOf(tx, order_id).some((deposit) => deposit.id === bound)) return "elsewhere";
    recordClaim(tx, row, order_id);
    return bound === null ? "in_inbox" : "accepted";
  }

  /** Strangers can name a public transaction first: a claim that speaks more for its order takes the place of theirs. */
  function recordClaim(tx: Tx, row: TransferRow, order_id: string): void {
    const known = claimantsOf(tx, row.id);
    if (known.includes(order_id)) return;
    insertClaim(tx, row.id, order_id);
    if (known.length < claims_per_transfer_max) return;
    const claims = [...known, order_id].map((id) => ({ order_id: id, asked: quotesOfClaimant(tx, row, id) }));
    const weakest = weakestClaim(row, claims);
    if (weakest !== null) deleteClaim(tx, row.id, weakest);
  }

  return {
    async claim(order_id, text, client) {
      if (database.read((at) => orderById(at, order_id)) === null) throw new Fault("order_not_found");
      const hash = hashInText(text);
      if (hash === null) throw new Fault("invalid_request", "invalid txn_hash");
      const places = placesOf(order_id, hash);
      checkRate(order_id, client);

      const found = await find(places, order_id);
      const answer = (standing: Standing): ClaimAnswer => ({
        status: statuses[standing],
        text: words[standing],
        chain: found?.place.chain ?? null,
        tx_hash: found?.place.tx_hash ?? places[0]?.tx_hash ?? hash,
      });
      if (found === null) return answer("not_mined");
      const standings = await Promise.all(
        found.rows.map((row) => database.transact((tx) => stand(tx, row.id, order_id))),
      );
      return answer(best_first.find((one) => standings.includes(one)) ?? standings[0] ?? "nothing");
    },
  };
}
