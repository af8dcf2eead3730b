// Which orders is a transfer compared with, and is each found by index? Neither thousands of open reservations nor an
// exchange that paid thousands of orders makes the next transfer slower.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { nearby_max } from "../../src/domain/attribution.ts";
import { countPayments, unboundWaiting } from "../../src/storage/bound-transfers.ts";
import { quotesNear } from "../../src/storage/candidate-search.ts";
import { endedRemaindersOf, remaindersOf } from "../../src/storage/deposit-search.ts";
import type { Reader } from "../../src/storage/engine/database.ts";
import { heldTransfers, isHeldFor } from "../../src/storage/held.ts";
import {
  reservationOfSender,
  reservationsBelow,
  reservationsBetween,
  reservationsElsewhere,
  reservationsFor,
  surchargedReservationsNear,
  unpaidReservationsBefore,
} from "../../src/storage/reservation-search.ts";
import {
  depositsExpecting,
  depositsOfSender,
  payersWithPrefix,
  unallocatedTransfers,
} from "../../src/storage/senders.ts";
import { transferById, waitingPolicies, waitingTransfers } from "../../src/storage/transfers.ts";
import { plansOf } from "../support/plans.ts";
import { evm_wallet } from "../support/server.ts";
import { ann, bob, exchange, startTill, type Till } from "../support/till.ts";

const pot = { chain: "eth", coin: "USDT", wallet: evm_wallet } as const;
const six = 1_000_000n;
const nobody = 0;

let till: Till;
let raw: Sqlite;
let stranger: number;
beforeAll(async () => {
  till = await startTill({ orders: { max_surcharge: "0.5" } });
  for (let n = 1; n <= 30; n++) await till.asked(`${n * 10}.00`);
  for (let n = 1; n <= 5; n++) await till.receive({ amount: `${n * 10}.00`, sender: n === 5 ? ann : exchange });
  stranger = (await till.receive({ amount: "7777", sender: bob })).id;
  raw = new Sqlite(till.rows<{ file: string }>("PRAGMA database_list")[0]?.file ?? "", { readonly: true });
});
afterAll(async () => {
  raw.close();
  till.audit();
  await till.stop();
});

const read = <T>(run: (at: Reader) => T): T => till.database.read(run);

describe("is found", () => {
  const units = (rows: readonly { units: bigint }[]) => rows.map((row) => row.units / six);

  test("for several exact amounts at once", () => {
    expect(units(read((at) => reservationsFor(at, pot, [70n * six, 80n * six, 81n * six], nobody)))).toEqual([
      70n,
      80n,
    ]);
    expect(read((at) => reservationsFor(at, pot, [], nobody))).toEqual([]);
  });

  test("below an amount from the highest down, over the lengths of the numbers, as many as are looked at", () => {
    const below = (amount: bigint) => units(read((at) => reservationsBelow(at, pot, amount * six, nobody)));
    expect(below(10n)).toEqual([]);
    expect(below(100n)).toEqual([90n, 80n, 70n, 60n, 50n, 40n, 30n, 20n, 10n]);
    expect(below(120n)).toEqual([110n, 100n, 90n, 80n, 70n, 60n, 50n, 40n, 30n, 20n, 10n]);
    const all = below(1_000_000n);
    expect(all).toHaveLength(nearby_max);
    expect(all.slice(0, 2)).toEqual([300n, 290n]);
  });

  test("who has paid here under an address that begins alike, each payer once", () => {
    const like = (begin: string) => read((at) => payersWithPrefix(at, pot, begin));
    expect(like("0x")).toEqual([ann, exchange]);
    expect(like(exchange.slice(0, 6))).toEqual([exchange]);
    expect(like(bob.slice(0, 6))).toEqual([]);
    expect(read((at) => payersWithPrefix(at, { ...pot, chain: "polygon" }, "0x"))).toEqual([]);
  });
});

describe("is read by index:", () => {
  const row = () => {
    const transfer = read((at) => transferById(at, stranger));
    if (transfer === null) throw new Error("the transfer is gone");
    return transfer;
  };
  const lookups: [what: string, through: string[], run: (at: Reader) => unknown][] = [
    [
      "an exact amount",
      ["sqlite_autoindex_slots_1 (chain=? AND coin=? AND wallet=? AND units=?)"],
      (at) => reservationsFor(at, pot, [1n], nobody),
    ],
    [
      "an exact amount of one sender",
      ["sqlite_autoindex_slots_1 (chain=? AND coin=? AND wallet=? AND units=? AND sender=?)"],
      (at) => reservationOfSender(at, pot, 1n, ann, nobody),
    ],
    [
      "other orders with a surcharge near an amount",
      [
        "sqlite_autoindex_slots_1 (chain=? AND coin=? AND wallet=? AND units=? AND sender=?)",
        "slots_size (chain=? AND coin=? AND wallet=? AND <expr>=? AND units>? AND units<?)",
      ],
      (at) =>
        surchargedReservationsNear(
          at,
          pot,
          { order_id: "order", sender: ann, transfer: nobody },
          { amounts: [1n, 2n], ranges: [{ above: 100n, through: 200n }] },
        ),
    ],
    [
      "amounts between two",
      ["slots_size (chain=? AND coin=? AND wallet=? AND <expr>=? AND units>? AND units<?)"],
      (at) => reservationsBetween(at, pot, { above: 100n, through: 200n }, nobody),
    ],
    [
      "amounts below",
      [
        "slots_size (chain=? AND coin=? AND wallet=? AND <expr>=? AND units<?)",
        "slots_size (chain=? AND coin=? AND wallet=? AND <expr><?)",
      ],
      (at) => reservationsBelow(at, pot, 1n, nobody),
    ],
    [
      "what one sender pays here",
      [
        "slots_sender (sender=? AND chain=? AND coin=? AND wallet=?)",
        "transfers_sender (chain=? AND sender=? AND deposit>?)",
      ],
      (at) => depositsOfSender(at, pot, exchange, 6, nobody),
    ],
    [
      "what one sender who has begun to pay pays here",
      [
        "slots_sender (sender=? AND chain=? AND coin=? AND wallet=?)",
        "transfers_sender (chain=? AND sender=? AND deposit>?)",
        "transfers_part (chain=? AND sender=? AND deposit>?)",
      ],
      (at) => depositsOfSender(at, pot, ann, 6, nobody),
    ],
    [
      "who expects a sender",
      ["slots_sender (sender=?)", "transfers_part (chain=? AND sender=? AND deposit>?)"],
      (at) => depositsExpecting(at, "eth", exchange, nobody),
    ],
    [
      "payers alike",
      ["transfers_payer (chain=? AND wallet=? AND sender>? AND sender<?)"],
      (at) => payersWithPrefix(at, pot, bob.slice(0, 6)),
    ],
    [
      "waiting payments of one policy",
      ["transfers_waiting (chain=? AND finality=? AND <expr>=? AND block_number>? AND block_number<?)"],
      (at) => waitingTransfers(at, "eth", "12", true, { after: null, through: { number: 9, time: 9 }, limit: 1 }),
    ],
    [
      "other waiting transfers of one policy",
      ["transfers_waiting (chain=? AND finality=? AND <expr>=? AND block_number>? AND block_number<?)"],
      (at) => waitingTransfers(at, "eth", "12", false, { after: null, through: { number: 9, time: 9 }, limit: 1 }),
    ],
    [
      "who is next in line for a deposit",
      ["transfers_same_amount (chain=? AND coin=? AND wallet=? AND units=?)", "transfers_held (likely_order=?)"],
      (at) => unboundWaiting(at, pot, "1", "order", 20),
    ],
    ["the policies of waiting transfers", ["transfers_waiting (chain=?)"], (at) => waitingPolicies(at, "eth")],
    [
      "of whom exactly this is left",
      ["deposits_remainder (chain=? AND coin=? AND wallet=? AND remainder=?)"],
      (at) => remaindersOf(at, pot, { units: six, sender: ann, transfer: nobody }),
    ],
    [
      "of which ended order exactly this was left",
      ["deposits_ended_remainder (chain=? AND coin=? AND wallet=? AND remainder=? AND rowid>?)"],
      (at) => endedRemaindersOf(at, pot, six, nobody),
    ],
    [
      "what a sender has sent that pays nothing",
      ["transfers_unallocated (chain=? AND coin=? AND wallet=? AND sender=?)"],
      (at) => unallocatedTransfers(at, pot, ann, 11),
    ],
    [
      "unpaid orders that were asked before",
      [
        "sqlite_autoindex_slots_1 (chain=? AND coin=? AND wallet=? AND units=? AND sender=?)",
        "slots_size (chain=? AND coin=? AND wallet=? AND <expr>=? AND units>? AND units<?)",
      ],
      (at) =>
        unpaidReservationsBefore(
          at,
          pot,
          { deposit: 9, order_id: "order", sender: ann, transfer: nobody },
          { amounts: [six], ranges: [{ above: six, through: 2n * six }] },
        ),
    ],
    [
      "what is held for open deposits",
      ["transfers_held_for (held_for>?)"],
      (at) => heldTransfers(at, { deposit: 0, transfer: 0 }, 1),
    ],
    ["what is held for one deposit", ["transfers_held_for (held_for=?)"], (at) => isHeldFor(at, 1)],
    ["how many payments an order has", ["deposits_order (order_id=?)"], (at) => countPayments(at, "order", nobody, 1)],
  ];

  test.each(lookups)("%s", (_, through, run) => {
    const plans = plansOf(raw, run);
    expect(plans.map((plan) => plan[0]?.replace(/^SEARCH \w+ USING (?:COVERING )?INDEX /, ""))).toEqual(through);
    expect(plans.flat().filter((step) => step.startsWith("SCAN ") && !step.includes("json_each"))).toEqual([]);
    expect(plans.flat().filter((step) => step.includes("B-TREE FOR ORDER BY"))).toEqual([]);
  });

  const wide: [what: string, run: (at: Reader) => unknown][] = [
    ["the same amount elsewhere", (at) => reservationsElsewhere(at, pot, "5", nobody)],
    ["what a person compares it with", (at) => quotesNear(at, row())],
  ];
  test.each(wide)("%s reads no more than the list of watches whole", (_, run) => {
    const plans = plansOf(raw, run).flat();
    expect(plans.length).toBeGreaterThan(1);
    expect(plans.filter((step) => step.startsWith("SCAN ") && !/ (?:json_each|watches)\b/.test(step))).toEqual([]);
  });
});
