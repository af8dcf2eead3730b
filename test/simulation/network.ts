import { type Fields, type Json, sha256, sign, spell } from "../support/opencharge/spelling.ts";
import { createAsking } from "./asking.ts";
import { amounts, tell } from "./merchants.ts";
import { checkout_origin, lifetime_ms, network } from "./settings.ts";
import { type BookOrder, type Stage, wallOf } from "./stage.ts";

export interface Network {
  /** A gateway opens the checkout of an order that a merchant has signed. */
  openPage(): Promise<void>;
  /** A payer chooses on a page what to pay with. */
  choose(): Promise<void>;
}

const base_path = "/opencharge";

/** What the participants do in one world. */
export function createNetwork(stage: Stage): Network {
  const { random, server, timeline, fail, scenery } = stage;
  const { insist, insistOn, admin } = createAsking(stage);
  const places = Object.values(scenery.wallets).flatMap(({ chain, coins }) => coins.map((coin) => ({ chain, coin })));
  let made = 0;

  const isPage = (order: BookOrder) => order.page !== null;

  function signed(path: string, body: string): Record<string, string> {
    const { ocid, secret } = network.gateway;
    made += 1;
    const [id, timestamp, nonce] = [
      String(ocid),
      String(Math.floor(wallOf(stage) / 1000)),
      `req_${stage.seed}_${made}`,
    ];
    const lines = [id, timestamp, nonce, "POST", base_path + path, sha256(body)].join("\n");
    const signature = sign(lines, secret);
    return {
      "content-type": "application/json",
      "x-oc-id": id,
      "x-oc-timestamp": timestamp,
      "x-oc-nonce": nonce,
      "x-oc-signature": signature,
    };
  }

  async function openPage(): Promise<void> {
    const { merchant } = network;
    const id = `ord_${made}`;
    const now_s = Math.floor(wallOf(stage) / 1000);
    const amount = random.pick(amounts);
    const money = { amount, currency: "USD", createdAt: now_s, expiresAt: now_s + lifetime_ms / 1000 };
    const order: Fields = { id, ocid: merchant.ocid, ...money, accepts: [network.ocid, network.gateway.ocid] as Json };
    const urls = { success: "https://shop.example/done", cancel: "https://shop.example/back" };
    const signature = sign(spell(order, "recursive"), merchant.secret);
    const body = JSON.stringify({ order, signature, merchantOcid: merchant.ocid, urls });
    // Another nonce each time: the first one may be spent.
    const ask = () => server.request("POST", `${base_path}/checkout/create`, signed("/checkout/create", body), body);
    const answer = await insist(ask);
    if (answer === null) return;
    stage.count(`page ${answer.status}`);
    // Nobody was there in time; or no wallet takes this amount now.
    if (/TIMESTAMP_EXPIRED|ORDER_EXPIRED|SETTLEMENT_NOT_SUPPORTED|RATE_LIMIT/.test(answer.text)) return;
    if (answer.status !== 200) return fail(`a checkout was answered with ${answer.status}: ${answer.text}`);
    const { checkout_url } = JSON.parse(answer.text) as { checkout_url: string };
    const page = new URL(checkout_url).pathname;
    const merchant_order_id = `opencharge-page:${merchant.ocid}:${id}`;
    const path = `/api/v1/admin/orders?merchant_order_id=${encodeURIComponent(merchant_order_id)}`;
    const listed = await insist(() => server.request("GET", path, admin));
    if (listed === null) return;
    const [found] = JSON.parse(listed.text) as { order_id: string; amount: string }[];
    // A restore may have taken it meanwhile.
    if (found === undefined)
      return stage.lost.restores.length > 0 ? undefined : fail(`${merchant_order_id} is in no list`);
    if (stage.orders.has(found.order_id)) fail(`the page of ${id} has the order of another one`);
    const [shop] = stage.shops;
    if (shop === undefined) throw new Error("no shop");
    stage.orders.set(found.order_id, {
      id: found.order_id,
      merchant_order_id,
      amount,
      shop,
      sender: null,
      payer: `0x${sha256(`payer ${id}`).slice(0, 40)}`,
      is_trap: false,
      page: { path: page, order: id },
      details: [],
      created_at: timeline.now(),
      cancelled: false,
      marked: false,
      resends: 0,
      sockets: [],
    });
  }

  async function choose(): Promise<void> {
    const pages = [...stage.orders.values()].filter(isPage).slice(-4);
    if (pages.length === 0) return;
    const order = random.pick(pages);
    const place = random.pick(places);
    const path = order.page?.path ?? "";
    const query = `pay=${place.chain}.${place.coin}`;
    const form = { "content-type": "application/x-www-form-urlencoded", origin: checkout_origin };
    const answer = await insistOn(order, () => server.request("POST", path, form, query));
    if (answer === null) return;
    stage.count(`page chosen, ${answer.status}`);
    if (answer.status !== 303) return;
    const shown = await insistOn(order, () => server.request("GET", `${path}?${query}`, {}));
    if (shown === null || shown.status !== 200) return;
    const [amount, wallet] = [...shown.text.matchAll(/<p class="exact">(.*?)<\/p>/g)].map(([, text = ""]) =>
      text.replace(/<[^>]*>/g, ""),
    );
    if (amount === undefined || wallet === undefined) return;
    // It shows another deposit where the chosen one cannot be paid any more.
    const isChosen = shown.text.includes(`<p>${place.coin} on `);
    const isHere = Object.values(scenery.wallets).some((one) => one.chain === place.chain && one.address === wallet);
    if (isChosen && isHere) tell(stage, order, place, { wallet, amount });
  }

  return { openPage, choose };
}
