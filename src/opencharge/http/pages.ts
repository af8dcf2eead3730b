// The hosted checkout as a payer's browser sees it: its address is its secret. Shows, lets choose and cancel; all that
// changes an order is asked of the checkout.

import { chainFacts } from "../../domain/assets.ts";
import { errorCode } from "../../domain/errors.ts";
import { fromCommon, maxUnits, toCommon } from "../../domain/money.ts";
import { payer_body_limit_bytes, type ReadBody } from "../../http/body.ts";
import { queryOf } from "../../http/route.ts";
import type { Checkout, OpenDeposit } from "../../services/checkout.ts";
import { readUtf8 } from "../../wire/json.ts";
import type { World } from "../../world.ts";
import type { Gateway, ShownSession } from "../services/gateway.ts";
import {
  type AwaitedPayment,
  busyPage,
  type Choice,
  checkoutPage,
  missingPage,
  type PageView,
  pageHeaders,
} from "./checkout-page.ts";

const session_pattern = /^[\w-]{32}$/;
const cannot_now = "This coin cannot be paid with right now. Choose another one.";

interface Needs {
  world: World;
  readBody: ReadBody;
  checkout: Checkout;
  gateway: Gateway;
}

/** The page of a session: `GET` shows it, `POST` takes the form on it. Never refuses in JSON: a person reads this. */
export function createCheckoutPages(needs: Needs): {
  show(id: string, request: Request): Response;
  take(id: string, request: Request): Promise<Response>;
  /** Instead of either, for an address that asked too often: asks again by itself. */
  busy(retry_after_s: number): Response;
} {
  const { world, readBody, checkout, gateway } = needs;

  const find = (id: string): ShownSession | null => (session_pattern.test(id) ? gateway.session(id) : null);

  /** What may be chosen for an order: each pair once that can hold its amount, whatever number of wallets takes it. */
  function choicesFor({ order }: ShownSession): Choice[] {
    const choices = checkout
      .options()
      .filter(({ coin }) => order.coin === null || order.coin === coin)
      .filter(({ chain, coin }) => checkout.canHold(chain, coin, order.amount))
      .map(({ chain, coin }) => ({ value: `${chain}.${coin}`, coin, chain: chainFacts[chain].name }));
    return [...new Map(choices.map((choice) => [choice.value, choice])).values()];
  }

  function view(session: ShownSession, chosen: string | null, problem: string | null): PageView {
    const { row, order, is_paid_elsewhere } = session;
    const units = checkout.received(order.id);
    const so_far = units === 0n ? null : soFarOf(order.amount, units);
    const head = { merchant: row.merchant_name, amount: order.amount, currency: row.currency, so_far };
    if (order.status === "paid" || is_paid_elsewhere) return { ...head, state: "paid", next: order.success_url };
    if (order.status !== "pending") return { ...head, state: order.status, next: order.cancel_url };
    const ends_in_s = Math.ceil((order.expires_at - world.now()) / 1000);
    const deposit = awaitedDeposit(order.id, chosen);
    // A payment that was seen is told whatever the payer wanted to look at: nobody is to pay twice.
    if (deposit !== null && (chosen !== "" || deposit.seen)) {
      const has_choice = choicesFor(session).length > 1;
      return { ...head, state: "awaiting", awaited: deposit, has_choice, ends_in_s };
    }
    const is_stuck = deposit === null && chosen !== null && chosen !== "";
    const note = is_stuck ? cannot_now : problem;
    return { ...head, state: "choosing", choices: choicesFor(session), problem: note, ends_in_s };
  }

  /**
   * The deposit that a payment was seen for, else the chosen one, else the newest, with what is left to pay of it. Null
   * without one, and where exactly what is left is reserved for another order.
   */
  function awaitedDeposit(order_id: string, chosen: string | null): AwaitedPayment | null {
    const open = checkout.openDeposits(order_id);
    const seen = open.find(({ is_seen }) => is_seen);
    const wanted = open.find((one) => pairOf(one) === chosen) ?? open.find(({ due }) => due !== null);
    const deposit = seen ?? wanted;
    if (deposit === undefined || (seen === undefined && deposit.due === null)) return null;
    const { chain, coin, wallet, due, amount } = deposit;
    return { coin, chain: chainFacts[chain].name, address: wallet, amount: due ?? amount, seen: seen !== undefined };
  }

  const page = (status: number, html: string) => new Response(html, { status, headers: pageHeaders });
  const back = (query: string) =>
    new Response(null, { status: 303, headers: { ...pageHeaders, location: query === "" ? "?" : `?${query}` } });

  /** Null for what no browser makes of the form on the page. */
  async function formOf(request: Request): Promise<URLSearchParams | null> {
    try {
      const text = readUtf8(await readBody(request, payer_body_limit_bytes));
      return text === null ? null : new URLSearchParams(text);
    } catch (error) {
      if (errorCode(error) === "unreadable_body") return null;
      throw error;
    }
  }

  async function choose(session: ShownSession, value: string): Promise<Response> {
    const [blockchain = "", stablecoin = ""] = value.split(".");
    try {
      await checkout.select(session.order.id, { blockchain, stablecoin });
      return back(`pay=${encodeURIComponent(value)}`);
    } catch (error) {
      const code = errorCode(error);
      if (code === "order_not_pending") return back("");
      if (code === "internal") throw error;
      return page(200, checkoutPage(view(session, "", cannot_now)));
    }
  }

  /** Not while money is on its way, or has come: it would be there for nobody. */
  async function cancel({ order }: ShownSession): Promise<Response> {
    const has_part = checkout.received(order.id) > 0n;
    if (has_part || awaitedDeposit(order.id, null)?.seen) return back("");
    try {
      await checkout.cancel(order.id);
    } catch (error) {
      if (errorCode(error) !== "order_not_pending") throw error;
    }
    return back("");
  }

  return {
    show(id, request) {
      const session = find(id);
      if (session === null) return page(404, missingPage());
      const query = queryOf(request);
      const chosen = query.has("other") ? "" : query.get("pay");
      return page(200, checkoutPage(view(session, chosen, null)));
    },

    async take(id, request) {
      const session = find(id);
      if (session === null) return page(404, missingPage());
      const form = await formOf(request);
      if (form === null) return page(400, checkoutPage(view(session, null, null)));
      if (form.has("cancel")) return cancel(session);
      const value = form.get("pay");
      return value === null ? back(form.has("other") ? "other" : "") : choose(session, value);
    },

    busy(retry_after_s) {
      const answer = page(429, busyPage(retry_after_s));
      answer.headers.set("retry-after", String(retry_after_s));
      return answer;
    },
  };
}

function soFarOf(amount: string, units: bigint): { received: string; due: string } {
  return { received: fromCommon(units), due: fromCommon(maxUnits(0n, toCommon(amount) - units)) };
}

function pairOf({ chain, coin }: OpenDeposit): string {
  return `${chain}.${coin}`;
}
