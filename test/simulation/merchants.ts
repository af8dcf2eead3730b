// Merchants' backends, checkout pages and operators: they create, select, cancel, watch and repair over the real HTTP
// door, try again when a server dies, and hold every answer against the contract.

import { getAddress, keccak256, toHex } from "viem";
import { createAsking, macOf } from "./asking.ts";
import { unitsOf } from "./oracle/amounts.ts";
import type { Random } from "./random.ts";
import { type SimChainId, spelledOn } from "./scenery.ts";
import type { BookOrder, Detail, SimSocket, Stage } from "./stage.ts";
import { Death } from "./world.ts";

/** Few amounts, so that they meet. The last is above the small tier of every chain. */
export const amounts = ["5.00", "5", "5.01", "10", "10.00", "19.99", "60.50"];
export const senders = [
  "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
  "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
  "0x976EA74026E726554dB657fA54763abd0C3a0aa9",
  "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
];

/** Pays for many. */
export const exchange = "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f";

export interface Merchants {
  createOrder(): Promise<void>;
  select(): Promise<void>;
  /** Opens an order for what somebody else sends, and asks where to pay it. Null when it came to nothing. */
  setTrap(amount: string, place: { chain: SimChainId; coin: string }): Promise<BookOrder | null>;
  cancel(): Promise<void>;
  watch(): Promise<void>;
  markPaid(): Promise<void>;
  resend(): Promise<void>;
  askStatus(): Promise<void>;
}

export function createMerchants(stage: Stage): Merchants {
  const { random, server, timeline, scenery, fail } = stage;
  const pairs = Object.values(scenery.wallets).flatMap(({ chain, coins }) => coins.map((coin) => ({ chain, coin })));
  const { insist, insistOn, seconds, signedUrl, admin, anyOrder } = createAsking(stage);
  let created = 0;

  async function createOrder(): Promise<void> {
    const preset = random.chance(20) ? random.pick(pairs) : null;
    const sender = random.chance(20) ? spelledOn(random.pick(scenery.chains), random.pick(senders)) : null;
    const amount = random.pick(amounts);
    const isByExchange = stage.traits.exchange && random.chance(25);
    await create({ amount, preset, sender: isByExchange ? exchange : sender, is_trap: false });
  }

  interface Wish {
    amount: string;
    preset: (typeof pairs)[number] | null;
    sender: string | null;
    is_trap: boolean;
  }

  async function create({ amount, preset, sender, is_trap }: Wish): Promise<BookOrder | null> {
    created += 1;
    const merchant_order_id = random.chance(10) ? "shared" : `m-${created}`;
    const payer = is_trap ? addressOf("thief") : (sender ?? payerOf(random, created, stage.traits.exchange));
    const shop = random.pick(stage.shops);
    const body = JSON.stringify({
      order_id: merchant_order_id,
      amount,
      webhook_url: `https://${shop.host}/hook?order=${created}`,
      expecting_wallet_address: sender,
      blockchain: preset?.chain ?? null,
      stablecoin: random.chance(50) ? (preset?.coin ?? null) : null,
    });
    const timestamp = seconds();
    const headers: Record<string, string> = { "ocrch-signature": `${timestamp}.${macOf(`${timestamp}.${body}`)}` };
    if (random.chance(25)) headers["idempotency-key"] = `key-${created}`;
    const send = () => insist(() => server.request("POST", "/api/v1/service/orders", headers, body));

    const answer = await send();
    // Too old by the time a server was there, or for a wallet that is not served at the moment.
    if (answer === null || answer.status === 401 || answer.status === 400) return null;
    if (answer.status !== 201) {
      fail(`a creation was answered with ${answer.status}: ${answer.text}`);
      return null;
    }
    const order = JSON.parse(answer.text) as { order_id: string; amount: string; status: string };
    if (order.amount !== amount || order.status !== "pending") fail(`a creation was answered with ${answer.text}`);
    if (stage.orders.has(order.order_id)) fail(`the order ${order.order_id} was created twice`);
    const book: BookOrder = {
      id: order.order_id,
      merchant_order_id,
      amount,
      shop,
      sender,
      payer,
      is_trap,
      page: null,
      details: [],
      created_at: timeline.now(),
      cancelled: false,
      marked: false,
      resends: 0,
      sockets: [],
    };
    stage.orders.set(order.order_id, book);
    if (!random.chance(30)) return book;

    if (!is_trap) await timeline.sleep(random.below(200_000));
    const again = await send();
    if (again === null || again.status === 401) return book;
    // As above, where a restore took the order.
    if (again.status === 400 && stage.lost.orders.has(order.order_id)) return book;
    const replayed = again.status === 201 ? (JSON.parse(again.text) as { order_id: string }) : null;
    if (replayed !== null && replayed.order_id !== order.order_id && stage.lost.orders.has(order.order_id)) {
      // A restore took the order and the memory of its creation: this is another one.
      const created_at = timeline.now();
      const flags = { cancelled: false, marked: false, resends: 0 };
      stage.orders.set(replayed.order_id, {
        ...book,
        ...flags,
        id: replayed.order_id,
        details: [],
        sockets: [],
        created_at,
      });
    } else if (replayed?.order_id !== order.order_id)
      fail(`a replay of ${order.order_id} was answered with ${again.text}`);
    return book;
  }

  async function select(): Promise<void> {
    const unasked = [...stage.orders.values()].filter((order) => order.details.length === 0).slice(-3);
    const order = unasked.length > 0 && random.chance(50) ? random.pick(unasked) : anyOrder();
    if (order !== null) await selectFor(order, random.pick(pairs));
  }

  async function selectFor(order: BookOrder, { chain, coin }: { chain: SimChainId; coin: string }): Promise<void> {
    const body = JSON.stringify({ blockchain: chain, stablecoin: coin });
    const path = `/api/v1/user/orders/${order.id}/payment`;
    const headers = () => ({ ...signedUrl(order), "content-type": "application/json" });
    const answer = await insistOn(order, () => server.request("POST", path, headers(), body));
    if (answer === null || answer.status === 409 || answer.status === 400) return;
    if (answer.status !== 201) return fail(`a selection was answered with ${answer.status}: ${answer.text}`);
    const { wallet_address: wallet, amount } = JSON.parse(answer.text) as { wallet_address: string; amount: string };
    tell(stage, order, { chain, coin }, { wallet, amount });
  }

  async function cancel(): Promise<void> {
    const order = anyOrder();
    if (order === null) return;
    const answer = await insistOn(order, () => {
      order.cancelled = true;
      return server.request("POST", `/api/v1/user/orders/${order.id}/cancel`, signedUrl(order));
    });
    if (answer !== null && answer.status !== 200 && answer.status !== 409) {
      fail(`a cancel was answered with ${answer.status}: ${answer.text}`);
    }
  }

  async function watch(): Promise<void> {
    const order = anyOrder();
    const life = server.life();
    if (order === null || life === null || !server.isReady()) return;
    const socket: SimSocket = { life, statuses: [], closed: null };
    try {
      const handlers = await server.socket(`/api/v1/user/orders/${order.id}/ws`, signedUrl(order));
      const isTooWrong = stage.traits.clock_hours && stage.clock.wasWrong(timeline.now() - 1000, timeline.now());
      if (handlers === null) {
        if (!isTooWrong && !stage.lost.orders.has(order.id)) fail(`a socket of ${order.id} was refused`);
        return;
      }
      handlers.opened({
        send(text) {
          const frame = JSON.parse(text) as { type: string; order?: { status: string } };
          if (frame.type !== "status_update") fail(`a socket of ${order.id} was sent ${text}`);
          if (socket.closed !== null) fail(`a socket of ${order.id} was sent a frame after its close`);
          socket.statuses.push(frame.order?.status ?? "");
          return 0;
        },
        close(code) {
          socket.closed = code;
        },
      });
      order.sockets.push(socket);
      if (!random.chance(15)) return;
      await timeline.sleep(random.below(20_000));
      if (life.isDead() || socket.closed !== null) return;
      socket.closed = 0;
      handlers.closed();
    } catch (error) {
      if (!(error instanceof Death)) throw error;
    }
  }

  async function operate(order: BookOrder, what: string, asking: () => void): Promise<void> {
    const answer = await insistOn(order, () => {
      asking();
      return server.request("POST", `/api/v1/admin/orders/${order.id}/${what}`, admin);
    });
    if (answer !== null && answer.status !== 200) fail(`${what} was answered with ${answer.status}: ${answer.text}`);
  }

  return {
    createOrder,
    select,
    async setTrap(amount, place) {
      const order = await create({ amount, preset: null, sender: null, is_trap: true });
      if (order !== null) await selectFor(order, place);
      return order;
    },
    cancel,
    watch,
    async markPaid() {
      const order = anyOrder();
      if (order === null) return;
      await operate(order, "mark-paid", () => {
        order.marked = true;
      });
    },
    async resend() {
      const order = anyOrder();
      if (order === null) return;
      await operate(order, "resend-webhook", () => {
        order.resends += 1;
      });
    },
    async askStatus() {
      const order = anyOrder();
      if (order === null) return;
      const path = `/api/v1/user/orders/${order.id}/status`;
      const answer = await insistOn(order, () => server.request("GET", path, signedUrl(order)));
      if (answer !== null && answer.status !== 200) fail(`a status was answered with ${answer.status}: ${answer.text}`);
    },
  };
}

/** A payer is told what to send, and where. */
export function tell(
  { scenery, timeline, rules, told, fail }: Stage,
  order: BookOrder,
  { chain, coin }: { chain: SimChainId; coin: string },
  { wallet, amount }: { wallet: string; amount: string },
): void {
  const token = scenery.tokens.find((token) => token.chain === chain && token.coin === coin);
  if (token === undefined) throw new Error("a coin without a token");
  const units = unitsOf(amount, token.decimals);
  const detail: Detail = { order, chain, wallet, amount, token, units, told_at: timeline.now() };
  const known = order.details.find((one) => one.chain === chain && one.token === token);
  const price = unitsOf(order.amount, token.decimals);
  const most = rules.since(order.created_at).map((one) => unitsOf(one.max_surcharge, token.decimals));
  if (known === undefined && !most.some((surcharge) => units <= price + surcharge))
    fail(`${order.id} of ${order.amount} was asked for ${amount}`);
  if (known === undefined) order.details.push(detail);
  else if (known.wallet !== wallet) fail(`${order.id} was asked for on two wallets of ${chain}`);
  else if (known.amount !== amount) told.push(detail);
}

/** The wallet of a customer: most have one of their own, some order several times, some pay from an exchange. */
function payerOf(random: Random, customer: number, is_exchange_usual: boolean): string {
  if (is_exchange_usual && random.chance(90)) return exchange;
  const whose = random.weighted({ own: 65, several: 20, exchange: 15 });
  if (whose === "exchange") return exchange;
  return whose === "several" ? random.pick(senders) : addressOf(`customer ${customer}`);
}

/** The address of a name. */
export function addressOf(name: string): string {
  return getAddress(keccak256(toHex(name)).slice(0, 42));
}
