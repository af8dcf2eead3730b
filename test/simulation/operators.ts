// People who look after money that fits no order: operators who empty the inbox, payers who name their transaction.
// Every answer is held against the contract.

import { createAsking } from "./asking.ts";
import type { BookOrder, Payment, Stage } from "./stage.ts";

export interface Operators {
  /** Takes one entry of the inbox and assigns it, to its likeliest order or to any, or dismisses it. */
  emptyInbox(): Promise<void>;
  /** Takes back what was assigned once. */
  unassign(): Promise<void>;
  /** A payer names a transaction: his own, or a stranger's. */
  claim(): Promise<void>;
  /** Names a transaction as the payment of an order. */
  claimFor(order: BookOrder, payment: Payment): Promise<void>;
}

interface Entry {
  id: number;
  status: string;
  txn_hash: string;
  candidates: { order_id: string }[];
}

const claim_words = ["accepted", "already_counted", "in_inbox", "not_found"];

export function createOperators(stage: Stage): Operators {
  const { random, server, fail, count } = stage;
  const { insist, insistOn, admin, signedUrl, anyOrder } = createAsking(stage);
  const assigned: number[] = [];

  async function decide(transfer: number, what: string, body: object, asking = () => {}): Promise<number | null> {
    const path = `/api/v1/admin/transfers/${transfer}/${what}`;
    const headers = { ...admin, "content-type": "application/json" };
    const answer = await insist(() => {
      asking();
      return server.request("POST", path, headers, JSON.stringify(body));
    });
    if (answer === null) return null;
    count(`inbox ${what}, ${answer.status}`);
    // Between the list and the decision the world went on: somebody else may have decided.
    if (![200, 404, 409].includes(answer.status)) fail(`${what} was answered with ${answer.status}: ${answer.text}`);
    return answer.status;
  }

  async function entries(): Promise<Entry[]> {
    const answer = await insist(() => server.request("GET", "/api/v1/admin/inbox?limit=20", admin));
    if (answer === null) return [];
    if (answer.status !== 200) fail(`the inbox was answered with ${answer.status}: ${answer.text}`);
    return JSON.parse(answer.text) as Entry[];
  }

  async function assign(transfer: number, order: BookOrder): Promise<void> {
    assigned.push(transfer);
    await decide(transfer, "assign", { order_id: order.id, reason: "simulated" }, () => {
      // From here on the order may be paid by hand, whatever the answer.
      order.marked = true;
    });
  }

  async function claimFor(order: BookOrder, payment: Payment): Promise<void> {
    const path = `/api/v1/user/orders/${order.id}/claim`;
    const body = JSON.stringify({ txn_hash: payment.tx.hash });
    const headers = () => ({ ...signedUrl(order), "content-type": "application/json" });
    const answer = await insistOn(order, () => server.request("POST", path, headers(), body));
    if (answer === null) return;
    const { status = "" } = answer.status === 200 ? (JSON.parse(answer.text) as { status: string }) : {};
    count(`claim ${order.is_trap ? "by a thief " : ""}${answer.status}${status === "" ? "" : `, ${status}`}`);
    // Too often, or the chain could not be asked.
    if (answer.status === 429 || answer.status === 409) return;
    if (!claim_words.includes(status)) fail(`a claim was answered with ${answer.status}: ${answer.text}`);
    stage.claims.push({ order, payment, status, answered_at: stage.timeline.now() });
  }

  return {
    claimFor,
    async emptyInbox() {
      const all = await entries();
      if (all.length === 0) return;
      const entry = random.pick(all);
      if (random.chance(30)) {
        await decide(entry.id, "dismiss", { reason: "simulated" });
        return;
      }
      const likely = stage.orders.get(entry.candidates[0]?.order_id ?? "");
      const order = random.chance(80) && likely !== undefined ? likely : anyOrder();
      if (order !== null) await assign(entry.id, order);
    },

    async unassign() {
      if (assigned.length > 0) await decide(random.pick(assigned), "unassign", { reason: "simulated" });
    },

    async claim() {
      const payment = stage.payments.length === 0 ? null : random.pick(stage.payments.slice(-12));
      const order = random.chance(80) ? (payment?.detail?.order ?? anyOrder()) : anyOrder();
      if (payment === null || order === null) return;
      await claimFor(order, payment);
    },
  };
}
