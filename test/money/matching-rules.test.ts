// Which order does one transfer pay, as a pure rule? Tables over everything that can be reserved around an amount, the
// answer last.

import { describe, expect, test } from "bun:test";
import {
  type AttributionContext,
  attribute,
  type NearbyReservations,
  nearby_max,
} from "../../src/domain/attribution.ts";
import { isLookalike, lookalikePrefixes } from "../../src/domain/lookalike.ts";
import { type IncomingTransfer, isHeadTimeExpected, type Match, type Reservation } from "../../src/domain/matching.ts";

const usd = (amount: number): bigint => BigInt(Math.round(amount * 1e6));
const arrival: IncomingTransfer = {
  sender: "payer",
  units: usd(10),
  block: { number: 50, time: 1000 },
  chain_time: { block_ms: 12_000 },
  newest_deposit: 100,
  accepted: true,
  offered: true,
  own: false,
  dust: false,
  petty: false,
};
const open: Reservation = {
  deposit: 7,
  order_id: "order-7",
  order_status: "pending",
  units: usd(10),
  rest: false,
  expires_at: 2_000_000,
  sender: null,
  opened_at: 990_000,
  opened_head: 49,
  opened_ahead_ms: null,
  head_after_opening: null,
  opened_uncertainty_ms: null,
  closed: false,
  taken: false,
};
const nothing: NearbyReservations = {
  lookalike: false,
  mine: [],
  tolerant: [],
  cut: [],
  shortened: [],
  close: [],
  below: [],
  above: [],
  expected: [],
  elsewhere: [],
  reserved: [],
  maxPayment: (due) => due + due / 10n,
};

const alone: AttributionContext = {
  remainders: () => [],
  isShared: () => false,
  hasPaidSeveral: () => false,
  around: () => nothing,
  olderThan: () => [],
  surcharged: () => [],
  completed: () => [],
};

function words(found: Match): string {
  if ("deposit" in found) return `${found.kind} pays ${found.deposit}`;
  return [found.reason, found.likely_order].filter((word) => word !== null).join(" ");
}

const head_49 = { number: 49, time: 1000 };
const expired: Partial<Reservation> = { closed: true, order_status: "expired" };
const cancelled: Partial<Reservation> = { closed: true, order_status: "cancelled" };
const paid: Partial<Reservation> = { closed: true, order_status: "paid" };

describe("a transfer of an amount that was promised", () => {
  const other: Reservation = { ...open, deposit: 8, order_id: "order-8", sender: "somebody else" };
  const unknown = { ...open, opened_head: null };
  const rows: [what: string, arrival: Partial<IncomingTransfer>, candidates: Reservation[], answer: string][] = [
    ["of a watched but not accepted contract", { accepted: false }, [], "unknown_token"],
    ["between own wallets", { own: true }, [open], "from_own_wallet"],
    ["between own wallets, of a contract that is not accepted", { own: true, accepted: false }, [], "unknown_token"],
    ["of nobody's amount", {}, [], "no_such_amount"],
    ["in a coin the wallet does not offer", { offered: false }, [], "coin_not_offered"],
    ["in a coin that is no longer offered", { offered: false }, [open], "match pays 7"],
    ["that is exact", {}, [open], "match pays 7"],
    ["that is exact and dust", { dust: true }, [open], "match pays 7"],
    ["that is the rest of a deposit", {}, [{ ...open, rest: true }], "part pays 7"],
    ["from the expected sender", { sender: "somebody else" }, [other], "match pays 8"],
    ["from another sender than expected", {}, [other], "other_sender order-8"],
    ["from another sender than any of two expected", {}, [other, { ...other, sender: "third" }], "other_sender"],
    ["mined at the head known when the deposit opened", { block: head_49 }, [open], "too_early"],
    ["mined one block later", { block: { number: 50, time: 1000 } }, [open], "match pays 7"],
    ["15 s before the opening by the chain's clock", { block: { number: 50, time: 975 } }, [open], "match pays 7"],
    ["16 s before it", { block: { number: 50, time: 974 } }, [open], "too_early"],
    ["older by time while the head was unknown", { block: { number: 1, time: 974 } }, [unknown], "too_early"],
    ["younger by time while the head was unknown", { block: { number: 1, time: 975 } }, [unknown], "match pays 7"],
    ["first seen when it was the newest", { newest_deposit: 7 }, [open], "match pays 7"],
    ["first seen before it was opened, and mined again since", { newest_deposit: 6 }, [open], "too_early"],
    ["first seen by a version that kept no such note", { newest_deposit: null }, [open], "match pays 7"],
    ["in the last second", { block: { number: 50, time: 2000 } }, [open], "match pays 7"],
    ["a second after the end", { block: { number: 50, time: 2001 } }, [open], "late order-7"],
    ["after the order had expired", {}, [{ ...open, ...expired }], "late order-7"],
    ["after a cancel", {}, [{ ...open, ...cancelled }], "order_ended order-7"],
    ["after the order was paid", {}, [{ ...open, ...paid }], "order_ended order-7"],
    ["beside another that pays the deposit", {}, [{ ...open, taken: true }], "duplicate order-7"],
  ];
  test.each(rows)("%s", (_what, changes, candidates, answer) => {
    const never = (): NearbyReservations => {
      if (candidates.length > 0 && answer !== "too_early")
        throw new Error("an exact amount asks for nothing around it");
      return nothing;
    };
    expect(words(attribute({ ...arrival, ...changes }, candidates, { ...alone, around: never }))).toBe(answer);
  });
});

describe("a transfer at or below the head that the chain showed just after the opening", () => {
  // Opened at 990 s by our clock.
  const heard: Partial<Reservation> = { opened_at: 990_000, opened_ahead_ms: 0, head_after_opening: 52 };
  const at = (time: number, number = 52) => ({ block: { number, time } });
  const chain = (block_ms: number) => ({ chain_time: { block_ms } });
  const base = chain(200);
  const rows: [what: string, arrival: Partial<IncomingTransfer>, deposit: Partial<Reservation>, answer: string][] = [
    ["in a block of more than two seconds before the opening", at(987), {}, "too_early"],
    ["in a block of two seconds before, which may have been built later", at(988), {}, "match pays 7"],
    ["in a block of the same second", at(990), {}, "match pays 7"],
    ["in an old block above that head", at(980, 53), {}, "match pays 7"],
    ["in an old block, where no head was heard", at(980), { head_after_opening: null }, "match pays 7"],
    ["in an old block, where the chain's clock is not known", at(980), { opened_ahead_ms: null }, "match pays 7"],
    ["in an old block, by a chain 8 s ahead", at(995), { opened_ahead_ms: 8000 }, "too_early"],
    ["in the second of the opening, by a chain 8 s ahead", at(998), { opened_ahead_ms: 8000 }, "match pays 7"],
    ["in an old block, by a chain 8 s behind", at(979), { opened_ahead_ms: -8000 }, "too_early"],
    ["in the second of the opening, by a chain 8 s behind", at(982), { opened_ahead_ms: -8000 }, "match pays 7"],
    ["in an old block of a chain of five blocks a second", { ...at(988), ...base }, {}, "too_early"],
    ["in a block of the second before, of such a chain", { ...at(989), ...base }, {}, "match pays 7"],
    ["in a block of the same second, of such a chain", { ...at(990), ...base }, {}, "match pays 7"],
    [
      "in a block of the second in which it was opened late",
      { ...at(990), ...base },
      { opened_at: 990_999 },
      "match pays 7",
    ],
    ["in an old block of a chain of 3 s, two before the head", { ...at(987, 50), ...chain(3000) }, {}, "too_early"],
  ];
  test.each(rows)("%s", (_what, changes, deposit, answer) => {
    expect(words(attribute({ ...arrival, ...changes }, [{ ...open, ...heard, ...deposit }], alone))).toBe(answer);
  });

  test.each([
    ["as old as a block, its building and a part of a second", 975, 0, 12_000, true],
    ["older", 974, 0, 12_000, false],
    ["older than that of a chain of five blocks a second", 987, 0, 200, false],
    ["newer than the opening", 999, 0, 200, true],
    ["in the time of a chain that is ahead", 983, 8000, 12_000, true],
    ["behind a chain that is ahead", 982, 8000, 12_000, false],
    ["of a chain whose clock is not known", 990, null, 12_000, false],
  ])("that head counts by its time: %s", (_what, time, opened_ahead_ms, block_ms, counts) => {
    expect(isHeadTimeExpected({ time }, { opened_at: 990_000, opened_ahead_ms }, { block_ms })).toBe(counts);
  });
});

describe("a transfer of 10 that nobody was asked for exactly", () => {
  const at = (amount: number, deposit = 7, changes: Partial<Reservation> = {}): Reservation => ({
    ...open,
    deposit,
    order_id: `order-${deposit}`,
    units: usd(amount),
    ...changes,
  });
  const many = (amount: number) => Array.from({ length: nearby_max }, () => at(amount));
  const late = { expires_at: 999_000 };
  const later = { opened_head: 50 };
  const newer = (amount: number) => many(amount).map((one) => ({ ...one, ...later, opened_at: 1_020_000 }));
  const bound = { sender: "payer" };
  const foreign = { sender: "somebody else" };
  const rows: [
    what: string,
    arrival: Partial<IncomingTransfer>,
    around: Partial<NearbyReservations>,
    answer: string,
  ][] = [
    // Noise
    ["dust, even in tolerance", { dust: true }, { tolerant: [at(10.05)] }, "dust"],
    ["dust of a contract that is not accepted", { dust: true, accepted: false }, {}, "dust"],
    ["dust between own wallets", { dust: true, own: true }, {}, "from_own_wallet"],
    ["less than a coin from a look-alike", { petty: true }, { lookalike: true, tolerant: [at(10.05)] }, "lookalike"],
    ["real money from a look-alike", {}, { lookalike: true }, "lookalike"],
    [
      "real money from a look-alike, a little less than one promise",
      {},
      { lookalike: true, tolerant: [at(10.05)] },
      "lookalike order-7",
    ],
    ["of a contract that is not accepted, from a look-alike", { accepted: false }, { lookalike: true }, "lookalike"],
    // Tolerance
    ["a little less than one promise", {}, { tolerant: [at(10.05)] }, "tolerance pays 7"],
    ["a little less than the rest of one", {}, { tolerant: [at(10.05, 7, { rest: true })] }, "tolerance pays 7"],
    ["than the whole and the rest of one", {}, { tolerant: [at(10.05), at(10.06)] }, "tolerance pays 7"],
    ["than two promises", {}, { tolerant: [at(10.05), at(10.06, 8)] }, "ambiguous"],
    ["than one that is open and one that is over", {}, { tolerant: [at(10.05), at(10.06, 8, paid)] }, "ambiguous"],
    ["than one, and one for another sender", {}, { tolerant: [at(10.05), at(10.06, 8, foreign)] }, "ambiguous"],
    ["than one for another sender alone", {}, { tolerant: [at(10.05, 8, foreign)] }, "other_sender order-8"],
    ["than one that came after it", {}, { tolerant: [at(10.05, 7, later)] }, "no_such_amount"],
    ["than one before it and one after it", {}, { tolerant: [at(10.05), at(10.06, 8, later)] }, "tolerance pays 7"],
    ["than more promises than are looked at", {}, { tolerant: many(10.05) }, "ambiguous"],
    ["than one whose order expired", {}, { tolerant: [at(10.05, 7, expired)] }, "late order-7"],
    ["than one whose time was over", {}, { tolerant: [at(10.05, 7, late)] }, "late order-7"],
    ["than one that was cancelled", {}, { tolerant: [at(10.05, 7, cancelled)] }, "order_ended order-7"],
    ["than one that another transfer pays", {}, { tolerant: [at(10.05, 7, { taken: true })] }, "duplicate order-7"],
    ["than one, by somebody who pays another", {}, { tolerant: [at(10.05)], mine: [at(50, 8)] }, "ambiguous"],
    ["than one, by its own payer", {}, { tolerant: [at(10.05)], mine: [at(10.05)] }, "tolerance pays 7"],
    ["than one, and another less a fee", {}, { tolerant: [at(10.05)], shortened: [at(10.5, 8)] }, "ambiguous"],
    ["than one, and another cut", {}, { tolerant: [at(10.05)], cut: [at(10.9, 8)] }, "ambiguous"],
    [
      "than one, by somebody who is expected elsewhere",
      {},
      { tolerant: [at(10.05)], expected: [at(50, 8, bound)] },
      "ambiguous",
    ],
    ["than one, and a little more than another", {}, { tolerant: [at(10.05)], below: [at(9.95, 8)] }, "ambiguous"],
    ["than one, and far more than another", {}, { tolerant: [at(10.05)], below: [at(5, 8)] }, "tolerance pays 7"],
    [
      "than one, and more than one that is paid",
      {},
      { tolerant: [at(10.05)], below: [at(9.95, 8, paid)] },
      "tolerance pays 7",
    ],
    ["and it is cut, too", {}, { tolerant: [at(10.05)], cut: [at(10.05)] }, "tolerance pays 7"],
    // Known senders
    ["less, by the one who pays it", {}, { mine: [at(50, 7, bound)] }, "part pays 7"],
    ["all that is left, by the one who pays it", {}, { mine: [at(10, 7, bound)] }, "part pays 7"],
    ["more, by the one who pays it", {}, { mine: [at(9.5, 7, bound)] }, "over pays 7"],
    ["far more, by the one who pays it", {}, { mine: [at(3, 7, bound)] }, "no_such_amount order-7"],
    ["less, by one who pays two", {}, { mine: [at(50), at(60, 8)] }, "ambiguous"],
    ["less, by one who pays too many", {}, { mine: many(50) }, "ambiguous"],
    ["less, by one whose other deposit came later", {}, { mine: [at(50), at(60, 8, later)] }, "part pays 7"],
    ["less, by one whose time was over", {}, { mine: [at(50, 7, late)] }, "late order-7"],
    ["less, while another transfer pays all of it", {}, { mine: [at(50, 7, { taken: true })] }, "duplicate order-7"],
    ["a part that is another's cut amount", {}, { mine: [at(50)], cut: [at(10.99, 8)] }, "ambiguous order-7"],
    ["a part that is another's less a fee", {}, { mine: [at(50)], shortened: [at(11, 8)] }, "ambiguous order-7"],
    ["a part that is its own cut amount", {}, { mine: [at(10.99)], cut: [at(10.99)] }, "part pays 7"],
    ["a part that is close to another's amount", {}, { mine: [at(50)], close: [at(9.7, 8)] }, "ambiguous order-7"],
    ["a part that is close to its own amount", {}, { mine: [at(10.1)], close: [at(10.1)] }, "part pays 7"],
    [
      "less, by one known from a part alone, while another asks for more",
      {},
      { mine: [at(50)], above: [at(60, 8)] },
      "ambiguous order-7",
    ],
    [
      "less, by the expected one, while another asks for more",
      {},
      { mine: [at(50, 7, bound)], above: [at(60, 8)] },
      "part pays 7",
    ],
    [
      "more, by one known from a part alone, than two",
      {},
      { mine: [at(9.2)], below: [at(9.2), at(5, 8, paid)] },
      "ambiguous order-7",
    ],
    [
      "more, by one known from a part alone, while another asks for far less",
      {},
      { mine: [at(9.2)], below: [at(9.2), at(4, 8)] },
      "over pays 7",
    ],
    // More than are looked at, all of them made after it: one that was made before may be behind them.
    ["a part close to too many", {}, { mine: [at(50, 7, bound)], close: newer(10.1) }, "ambiguous order-7"],
    ["a part that is the cut of too many", {}, { mine: [at(50, 7, bound)], cut: newer(10.9) }, "ambiguous order-7"],
    ["a part that is too many less a fee", {}, { mine: [at(50, 7, bound)], shortened: newer(11) }, "ambiguous order-7"],
    ["a part, and too many elsewhere", {}, { mine: [at(50, 7, bound)], elsewhere: newer(10) }, "ambiguous order-7"],
    [
      "less, by one known from a part alone, than too many",
      {},
      { mine: [at(50)], above: newer(60) },
      "ambiguous order-7",
    ],
    [
      "more, by one known from a part alone, than too many",
      {},
      { mine: [at(9.2)], below: newer(9) },
      "ambiguous order-7",
    ],
    ["less, by the expected one, than too many", {}, { mine: [at(50, 7, bound)], above: newer(60) }, "part pays 7"],
    ["more, by the expected one, than too many", {}, { mine: [at(9.2, 7, bound)], below: newer(9) }, "over pays 7"],
    [
      "more, by one known from a part, than too many of less than half",
      {},
      { mine: [at(9.2)], below: newer(4) },
      "over pays 7",
    ],
    [
      "a little less than one, and too many elsewhere",
      {},
      { tolerant: [at(10.05)], elsewhere: newer(10) },
      "ambiguous",
    ],
    ["one cut, and too many less a fee", {}, { cut: [at(10.99)], shortened: newer(11) }, "ambiguous"],
    ["more than one, and too many elsewhere", {}, { below: [at(9.2)], elsewhere: newer(10) }, "no_such_amount"],
    ["more than one, by a sender of too many", {}, { below: [at(9.2)], expected: newer(30) }, "no_such_amount"],
    // Mistakes
    ["one promise cut", {}, { cut: [at(10.99)] }, "cut order-7"],
    ["one promise less a fee", {}, { shortened: [at(11)] }, "fee_shortened order-7"],
    ["one promise both ways", {}, { cut: [at(10.5)], shortened: [at(10.5)] }, "cut order-7"],
    ["two promises cut", {}, { cut: [at(10.99), at(10.98, 8)] }, "ambiguous"],
    ["one cut, another less a fee", {}, { cut: [at(10.99)], shortened: [at(11, 8)] }, "ambiguous"],
    ["one cut that came after it", {}, { cut: [at(10.99, 7, later)] }, "no_such_amount"],
    ["one that is over, cut", {}, { cut: [at(10.99, 7, expired)] }, "cut order-7"],
    ["more cut promises than are looked at", {}, { cut: many(10.99) }, "ambiguous"],
    ["one promise cut, another below", {}, { cut: [at(10.99)], below: [at(9, 8)] }, "cut order-7"],
    // Too much
    ["more than the only promise", {}, { below: [at(9.2)] }, "over pays 7"],
    ["a tenth more than the only promise", { units: usd(11) }, { below: [at(10)] }, "over pays 7"],
    ["a unit more than a tenth more", { units: usd(11.000001) }, { below: [at(10)] }, "no_such_amount order-7"],
    [
      "more than the only promise, of an amount that was reserved",
      {},
      { below: [at(9.2)], reserved: [at(10, 8, paid)] },
      "no_such_amount order-7",
    ],
    [
      "more than the only promise, of an amount that was reserved only later",
      {},
      { below: [at(9.2)], reserved: [at(10, 8, later)] },
      "over pays 7",
    ],
    ["twice the only promise", {}, { below: [at(5)] }, "no_such_amount order-7"],
    ["more than twice", {}, { below: [at(4.999999)] }, "no_such_amount"],
    ["more than the whole and the rest of one", {}, { below: [at(9.9), at(9.5, 7, { rest: true })] }, "over pays 7"],
    [
      "more than the whole of one, and by far more than its rest",
      {},
      { below: [at(9.9), at(6, 7, { rest: true })] },
      "no_such_amount order-7",
    ],
    ["more than two", {}, { below: [at(9.2), at(1, 8)] }, "no_such_amount"],
    ["more than one open and one over", {}, { below: [at(9.2), at(1, 8, paid)] }, "no_such_amount"],
    ["more than one, and one after it", {}, { below: [at(9.2), at(8, 8, later)] }, "over pays 7"],
    ["more than one for another sender", {}, { below: [at(9.2, 7, foreign)] }, "no_such_amount"],
    ["more than one that was expected of its sender", {}, { below: [at(9.2, 7, bound)] }, "over pays 7"],
    ["more than one that expired", {}, { below: [at(9.2, 7, expired)] }, "late order-7"],
    ["more than one that is paid", {}, { below: [at(9.2, 7, paid)] }, "no_such_amount"],
    ["more than one that another transfer pays", {}, { below: [at(9.2, 7, { taken: true })] }, "duplicate order-7"],
    ["more than promises without number", {}, { below: many(9) }, "no_such_amount"],
    ["more than one and half of another", {}, { below: [at(9.2)], above: [at(20, 8)] }, "short order-8"],
    ["more than one and far less than another", {}, { below: [at(9.2)], above: [at(20.1, 8)] }, "over pays 7"],
    [
      "between the rest and the whole of one",
      {},
      { below: [at(9.2, 7, { rest: true })], above: [at(20)] },
      "over pays 7",
    ],
    // Too little
    ["less than one", {}, { above: [at(30)] }, "short order-7"],
    ["less than the whole and the rest of one", {}, { above: [at(30), at(20, 7, { rest: true })] }, "short order-7"],
    ["less than two", {}, { above: [at(30), at(40, 8)] }, "short"],
    ["less than more than are looked at", {}, { above: many(30) }, "short"],
    ["less than one that is over", {}, { above: [at(30, 7, paid)] }, "no_such_amount"],
    ["less than one that came after it", {}, { above: [at(30, 7, later)] }, "no_such_amount"],
    ["less than one, in a coin not offered any more", { offered: false }, { above: [at(30)] }, "short order-7"],
    // Astray
    [
      "a little less than one, and another's in another coin",
      {},
      { tolerant: [at(10.05)], elsewhere: [at(10, 8)] },
      "ambiguous",
    ],
    [
      "a little less than one, and all of it in another coin",
      {},
      { tolerant: [at(10.05)], elsewhere: [at(10)] },
      "tolerance pays 7",
    ],
    [
      "a part of one, and another's in another coin",
      {},
      { mine: [at(50)], elsewhere: [at(10, 8)] },
      "ambiguous order-7",
    ],
    [
      "more than one, and another's in another coin",
      {},
      { below: [at(9.2)], elsewhere: [at(10, 8)] },
      "no_such_amount",
    ],
    [
      "more than one, and another's that came after it",
      {},
      { below: [at(9.2)], elsewhere: [at(10, 8, { opened_at: 1_020_000 })] },
      "over pays 7",
    ],
    [
      "more than one, by a sender expected elsewhere",
      {},
      { below: [at(9.2)], expected: [at(30, 8)] },
      "no_such_amount",
    ],
    ["more than one, by its own payer", {}, { below: [at(9.2)], expected: [at(9.2)] }, "over pays 7"],
    ["only another's in another coin", {}, { elsewhere: [at(10, 8)] }, "no_such_amount"],
    ["nothing at all", {}, {}, "no_such_amount"],
    ["nothing at all, in a coin not offered", { offered: false }, {}, "coin_not_offered"],
  ];
  test.each(rows)("%s", (_what, changes, around, answer) => {
    const context = { ...alone, around: () => ({ ...nothing, ...around }) };
    expect(words(attribute({ ...arrival, ...changes }, [], context))).toBe(answer);
  });
});

describe("a transfer of exactly what is left of a deposit its sender has paid in part", () => {
  const mine: Reservation = { ...open, order_id: "order-5", deposit: 5, rest: true };
  const also: Reservation = { ...mine, order_id: "order-6", deposit: 6 };
  const later = { opened_head: 50 };
  const rows: [what: string, remainders: Reservation[], exact: Reservation[], shared: boolean, answer: string][] = [
    ["and nobody else was asked for", [mine], [], false, "part pays 5"],
    ["and that a stranger was asked for", [mine], [open], false, "part pays 5"],
    ["and that is left of another of the sender's", [mine, also], [], false, "ambiguous"],
    [
      "and that another order expects of the sender",
      [mine],
      [{ ...open, sender: "payer" }],
      false,
      "ambiguous order-5",
    ],
    ["but was not when it was sent", [{ ...mine, ...later }], [open], false, "match pays 7"],
    ["while another transfer pays all of it", [{ ...mine, taken: true }], [open], false, "match pays 7"],
    ["of a sender who has paid many orders, and that a stranger was asked for", [mine], [open], true, "match pays 7"],
    ["of a sender who has paid many orders", [mine], [], true, "no_such_amount"],
  ];
  test.each(rows)("%s", (_what, remainders, exact, shared, answer) => {
    const context = { ...alone, remainders: () => remainders, isShared: () => shared };
    expect(words(attribute(arrival, exact, context))).toBe(answer);
  });
});

describe("a transfer of exactly what a deposit asks for that was just opened", () => {
  const older: Reservation = { ...open, order_id: "order-5", deposit: 5, units: usd(11), opened_at: 900_000 };
  const after_it = { opened_at: 1_020_000 };
  const expected = { sender: "payer" };
  // Opened at 990 s by our clock: young are payments up to 15 s of uncertainty and two blocks of 12 s later.
  const at = (time: number) => ({ block: { number: 50, time } });
  const fast = { chain_time: { block_ms: 1000 } };
  const ahead = { opened_ahead_ms: 2000, opened_uncertainty_ms: 1000 };
  const rows: [
    what: string,
    arrival: Partial<IncomingTransfer>,
    deposit: Partial<Reservation>,
    older: Reservation[],
    shared: boolean,
    answer: string,
  ][] = [
    ["with no older order that could be meant", {}, {}, [], false, "match pays 7"],
    ["with an older order that could be meant", {}, {}, [older], false, "ambiguous"],
    ["with one that is over and not paid", {}, {}, [{ ...older, ...expired }], false, "ambiguous"],
    ["with one that was asked for only after it was sent", {}, {}, [{ ...older, ...after_it }], false, "match pays 7"],
    [
      "with more than are looked at",
      {},
      {},
      Array.from({ length: nearby_max }, () => ({ ...older, ...after_it })),
      false,
      "ambiguous",
    ],
    ["in the last second in which it is young", at(1029), {}, [older], false, "ambiguous"],
    ["a second later", at(1030), {}, [older], false, "match pays 7"],
    [
      "in the last second in which it is young, on a fast chain that is ahead",
      { ...at(995), ...fast },
      ahead,
      [older],
      false,
      "ambiguous",
    ],
    ["a second later on it", { ...at(996), ...fast }, ahead, [older], false, "match pays 7"],
    [
      "later on, where its clock was less certain at the opening",
      { ...at(1005), ...fast },
      { ...ahead, opened_uncertainty_ms: 11_000 },
      [older],
      false,
      "ambiguous",
    ],
    [
      "soon after the opening by our clock, on a chain that looked late",
      { ...at(992), ...fast },
      { opened_ahead_ms: -15_000, opened_uncertainty_ms: 1000 },
      [older],
      false,
      "ambiguous",
    ],
    ["two seconds before its opening on it", { ...at(990), ...fast }, ahead, [older], false, "too_early"],
    [
      "sixteen seconds before the opening, where its clock was measured after a gap",
      at(974),
      { opened_ahead_ms: 0, opened_uncertainty_ms: 57_000 },
      [],
      false,
      "too_early",
    ],
    ["from the sender that the shop expects", {}, expected, [older], false, "match pays 7"],
    ["from an expected sender that pays for many", {}, expected, [older], true, "ambiguous"],
    ["as what is left of a deposit", {}, { rest: true }, [older], false, "ambiguous"],
    ["that is closed", {}, cancelled, [older], false, "order_ended order-7"],
  ];
  test.each(rows)("%s", (_what, changes, deposit, others, shared, answer) => {
    const context = { ...alone, isShared: () => shared, olderThan: () => others };
    const found = attribute({ ...arrival, ...changes }, [{ ...open, ...deposit }], context);
    expect(words(found)).toBe(answer);
    expect("held_for" in found ? found.held_for : null).toBe(answer === "ambiguous" ? 7 : null);
  });

  test("pays no guess either: a little less, or a little more", () => {
    const context = (near: Partial<NearbyReservations>): AttributionContext => ({
      ...alone,
      around: () => ({ ...nothing, ...near }),
      olderThan: () => [older],
    });
    const near = { ...open, units: usd(10.05) };
    expect(attribute(arrival, [], context({ tolerant: [near] }))).toMatchObject({ reason: "ambiguous", held_for: 7 });
    const below = { ...open, units: usd(9.5) };
    expect(attribute(arrival, [], context({ below: [below] }))).toMatchObject({ reason: "ambiguous", held_for: 7 });
  });
});

describe("an address that looks like another", () => {
  const known = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
  const tron = "TJCnKsPa7y5okkXvQAidZBzqx3QyQ6sxMW";
  const rows: [what: string, address: string, known: string, answer: boolean][] = [
    ["the same", known, known, false],
    ["the same ends", "0x7099ffffffffffffffffffffffffffffffff79C8", known, true],
    ["the same ends in other letters", "0x7099ffffffffffffffffffffffffffffffff79c8", known, true],
    ["another end", "0x7099ffffffffffffffffffffffffffffffff79C9", known, false],
    ["another start", "0x7098ffffffffffffffffffffffffffffffff79C8", known, false],
    ["the same ends on Tron", "TJCnKaaaaaaaaaaaaaaaaaaaaaaaaasxMW", tron, true],
    ["one character short on Tron", "TJCmKaaaaaaaaaaaaaaaaaaaaaaaaasxMW", tron, false],
  ];
  test.each(rows)("%s", (_what, address, other, answer) => {
    expect(isLookalike(address, other)).toBe(answer);
  });

  test("begins in one of a few ways", () => {
    expect(lookalikePrefixes("0x70aBffffffffffffffffffffffffffffffff79C8")).toEqual([
      "0x70ab",
      "0x70aB",
      "0x70Ab",
      "0x70AB",
    ]);
    expect(lookalikePrefixes(tron)).toHaveLength(16);
    expect(lookalikePrefixes(tron)).toContain("TJCnK");
  });
});
