// slow
// Both sides of the network from end to end. As a gateway: a merchant's gateway sends a signed order, a payer chooses
// in a real browser, pays on a real node and lands at the shop, and a proof comes that verifies from what we publish. As
// a merchant: a payment app asks for an order and pays it through a settlement provider. The appliance is a process.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { payer, type Stage, setStage, wallet } from "../demo/stage.ts";
import { type Appliance, fromSource, startAppliance } from "../support/appliance.ts";
import { type Browser, isBrowserExpected, startBrowser } from "../support/browser.ts";
import { type Party, startParty } from "../support/opencharge/party.ts";
import { type Fields, isSignedBy, newSecret, spell } from "../support/opencharge/spelling.ts";

const [ours, gateway_ocid, merchant_ocid] = [200, 300, 500];
const [own_merchant_ocid, provider_ocid] = [700, 100];
const delivery_timeout_ms = 120_000;

let stage: Stage;
let ocrch: Appliance;
let gateway: Party;
let merchant: Party;
let provider: Party;
let endpoint: string;

beforeAll(async () => {
  stage = await setStage({ finality: "5", port: await freePort() });
  gateway = startParty({ ocid: gateway_ocid, role: "merchant_gateway", accepts: [gateway_ocid, ours] });
  merchant = startParty({ ocid: merchant_ocid, role: "payment_app", accepts: [ours, gateway_ocid] });
  provider = startParty({ ocid: provider_ocid, role: "settlement_provider" });
  addSection();
  ocrch = await startAppliance({ folder: stage.folder });
  for (const party of [gateway, merchant, provider]) {
    for (const ocid of [ours, own_merchant_ocid]) party.knows(ocid, `${endpoint}/metadata.json`);
  }
  for (const party of [gateway, provider]) party.knows(merchant_ocid, merchant.metadata_url);
});
afterAll(async () => {
  await ocrch.stop();
  for (const party of [gateway, merchant, provider]) party.stop();
  await stage.clear();
});

/** A port nobody listens on: the endpoint stands in the file before the server is there to name one. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

function addSection(): void {
  const { path, config } = stage.folder;
  const key_file = join(path, "opencharge.key");
  writeFileSync(key_file, `${newSecret()}\n`);
  chmodSync(key_file, 0o600);
  const text = readFileSync(config, "utf8");
  const port = /^listen = "127\.0\.0\.1:(\d+)"$/m.exec(text)?.[1];
  endpoint = `http://127.0.0.1:${port}/opencharge`;
  const pins = [gateway, merchant, provider].map(
    ({ ocid, metadata_url }) => `[[opencharge.pinned]]\nocid = ${ocid}\nmetadata_url = "${metadata_url}"`,
  );
  const section = [
    "[opencharge]",
    `gateway_ocid = ${ours}`,
    `merchant_ocid = ${own_merchant_ocid}`,
    'orders = "open"',
    `accepts = [${provider_ocid}]`,
    `webhook_url = "${stage.merchant.webhook_url}"`,
    `merchants = [${merchant_ocid}]`,
    `private_key_file = "opencharge.key"`,
    `endpoint = "${endpoint}"`,
    ...pins,
  ];
  writeFileSync(config, `${text}\n${section.join("\n")}\n`);
}

const back: Fields = { success: "https://shop.example/done", cancel: "https://shop.example/back" };
const units = (amount: string) => BigInt(amount.replace(".", "")) * 10_000n;
const mine = (blocks: number) => stage.anvil.rpc("anvil_mine", [`0x${blocks.toString(16)}`]);
const proofTo = (party: Party, id: string) =>
  party.awaitCall(({ path, body }) => path === "/transfer/webhook" && JSON.stringify(body).includes(`"${id}"`));

/** Waits until so many proofs were taken and that is written down: nobody is being asked for keys any more. */
async function delivered(count: number): Promise<void> {
  const raw = new Sqlite(stage.folder.database, { readonly: true });
  const deadline = performance.now() + delivery_timeout_ms;
  const query = raw.query<{ n: number }, []>(
    "SELECT count(*) AS n FROM deliveries WHERE kind = 'proof' AND state = 'delivered'",
  );
  while (query.get()?.n !== count) {
    if (performance.now() > deadline) throw new Error(`never ${count} proofs delivered, but ${query.get()?.n}`);
    await Bun.sleep(10);
  }
  raw.close();
}

async function open(id: string, amount: string, from: Party, pages: Fields = back): Promise<string> {
  const now_s = Math.floor(Date.now() / 1000);
  const money = { amount, currency: "USD", createdAt: now_s, expiresAt: now_s + 3600 };
  const order: Fields = { id, ocid: merchant_ocid, ...money, accepts: [ours, gateway_ocid] };
  const body = { ...merchant.signOrder(order), merchantOcid: merchant_ocid, urls: pages };
  const { status, signed, json, text } = await from.call(endpoint, "POST", "/checkout/create", body);
  if (status !== 200) throw new Error(text);
  expect(signed).toBe("valid");
  return String(json?.checkout_url);
}

async function choose(page: string): Promise<string> {
  const html = await (await fetch(page, { method: "POST", body: new URLSearchParams({ pay: "eth.USDT" }) })).text();
  expect(html.replace(/<\/?span>/g, "").toLowerCase()).toContain(wallet.toLowerCase());
  return /<p class="exact">([\d.]+)<\/p>/.exec(html)?.[1] ?? "";
}

test("a payment on chain becomes a proof at the gateway and at the merchant", async () => {
  const page = await open("ord_chain", "23.45", gateway);
  const amount = await choose(page);
  expect(amount).toBe("23.45");
  const hash = await stage.coins.USDT.transfer(payer, wallet, units(amount));
  await mine(5);

  const told = await proofTo(gateway, "ord_chain");
  expect(told.sender).toBe(ours);
  const { proof } = told.body as { proof: Fields };
  expect(proof).toMatchObject({
    issuer: ours,
    from: { ocid: ours, reference: `eip155:1:${hash}` },
    to: { ocid: merchant_ocid, reference: "ord_chain" },
    amount: "23.45",
    currency: "USD",
    memo: "23.45 USDT on eth",
  });
  const published = (await (await fetch(`${endpoint}/metadata.json`)).json()) as Fields;
  expect(isSignedBy(spell(proof, "recursive"), String(told.body?.signature), String(published.publicKey))).toBe(true);
  const atMerchant = await proofTo(merchant, "ord_chain");
  expect(Buffer.from(atMerchant.raw).equals(Buffer.from(told.raw))).toBe(true);
  await delivered(2);
  const html = await (await fetch(page)).text();
  expect(html).toContain("Paid. Thank you.");
  expect(html).toContain("Continue to shop.example");
  expect(await (await fetch(`${endpoint}/verify/${String(proof.txid)}`)).json()).toMatchObject({
    status: "completed",
    proof,
  });
});

test("a proof that nobody took before the server died is delivered by the next one, the same to the byte", async () => {
  gateway.answerWith("/transfer/webhook", () => new Response("", { status: 503 }));
  const page = await open("ord_crash", "34.56", gateway);
  await stage.coins.USDT.transfer(payer, wallet, units(await choose(page)));
  await mine(5);
  const refused = await proofTo(gateway, "ord_crash");
  await delivered(3);
  expect(await ocrch.stop("SIGKILL")).toBe("SIGKILL");
  gateway.received.length = 0;
  gateway.answerWith("/transfer/webhook", () => null);

  ocrch = await startAppliance({ folder: stage.folder });
  const taken = await proofTo(gateway, "ord_crash");
  expect(taken.sender).toBe(ours);
  expect(Buffer.from(taken.raw).equals(Buffer.from(refused.raw))).toBe(true);
  expect(taken.headers.get("x-oc-nonce")).not.toBe(refused.headers.get("x-oc-nonce"));
  await delivered(4);
});

test("an order marked paid while no server runs is proved by the next one", async () => {
  await open("ord_cash", "45.00", gateway);
  const raw = new Sqlite(stage.folder.database, { readonly: true });
  const id = raw
    .query<{ id: string }, [string]>("SELECT id FROM orders WHERE merchant_order_id = ?")
    .get(`opencharge-page:${merchant_ocid}:ord_cash`)?.id;
  raw.close();
  expect(await ocrch.stop("SIGTERM")).toBe(0);
  const command = [...fromSource, "mark-paid", id ?? "", "-c", stage.folder.config, "--reason", "cash"];
  expect(await Bun.spawn(command, { stdout: "pipe", stderr: "pipe" }).exited).toBe(0);
  expect(gateway.received.some(({ body }) => JSON.stringify(body).includes('"ord_cash"'))).toBe(false);

  ocrch = await startAppliance({ folder: stage.folder });
  const { body, sender } = await proofTo(gateway, "ord_cash");
  expect([sender, body?.proof]).toMatchObject([ours, { from: { ocid: ours }, amount: "45.00" }]);
  await delivered(6);
});

describe.skipIf(!isBrowserExpected)("a payer with a browser that runs no script", () => {
  let browser: Browser;
  let shop: ReturnType<typeof Bun.serve>;
  let urls: Fields;
  beforeAll(async () => {
    const fetch = (request: Request) =>
      new Response(`<!doctype html><h1>The shop: ${new URL(request.url).pathname}</h1>`, {
        headers: { "content-type": "text/html" },
      });
    shop = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
    urls = { success: `${shop.url}thanks?order=1&paid=yes`, cancel: `${shop.url}cart` };
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.stop();
    shop.stop(true);
  });
  const sees = (text: string) => browser.page.getByText(text).first().waitFor();
  const isAt = (url: unknown) => browser.page.waitForURL(String(url));
  /** Kept where somebody wants to look at them. */
  const keep = async (name: string) => {
    const album = process.env.OCRCH_SCREENSHOTS;
    if (album !== undefined) await browser.page.screenshot({ path: join(album, `${name}.png`) });
  };

  test("chooses, pays on chain, and lands at the shop", async () => {
    const { page } = browser;
    await page.goto(await open("ord_browser", "12.34", gateway, urls));
    await sees("Choose what to pay with");
    await sees("payment_app 500");
    await keep("1-choose");
    await page.click('button[value="eth.USDT"]');
    await sees("Send exactly");
    expect(await page.locator("p.exact").allTextContents()).toEqual(["12.34", wallet]);
    await keep("2-pay");
    await stage.coins.USDT.transfer(payer, wallet, units("12.34"));
    await sees("Your payment was seen on Ethereum");
    await keep("3-seen");
    await mine(5);
    await sees("Paid. Thank you.");
    await keep("4-paid");
    await isAt(urls.success);
    expect((await proofTo(gateway, "ord_browser")).sender).toBe(ours);
  });

  test("cancels, and lands at the cart", async () => {
    const { page } = browser;
    await page.goto(await open("ord_browser_2", "12.35", gateway, urls));
    await sees("Choose what to pay with");
    await page.click('button[name="cancel"]');
    await sees("Cancelled. Do not send anything.");
    await keep("5-cancelled");
    await isAt(urls.cancel);
  });

  test("is told where there is no checkout", async () => {
    await browser.page.goto(`${endpoint}/pay/nothing`);
    await sees("No such checkout");
    await keep("6-missing");
  });
});

test("a payment app's order is signed, paid through a settlement provider, and paid once", async () => {
  const published = (await (await fetch(`${endpoint}/metadata.json`)).json()) as Fields;
  const now_s = Math.floor(Date.now() / 1000);
  const items: Fields[] = [{ id: "sku", name: "Large Coffee", quantity: 2, price: "5.00" }];
  const asked = { id: "ord_app", ocid: own_merchant_ocid, amount: "10.00", currency: "USD", items };
  const made = await merchant.call(endpoint, "POST", "/orders/create", { ...asked, expiresAt: now_s + 900 });
  const { order, signature } = made.json as { order: Fields; signature: string };
  expect(order).toMatchObject({ ...asked, accepts: [ours, provider_ocid] });
  expect(isSignedBy(spell(order, "recursive"), signature, String(published.publicKey))).toBe(true);

  const terms = { to: own_merchant_ocid, amount: "10.00", currency: "USD", order: { id: "ord_app", urls: [] } };
  const payment = await merchant.call(endpoint, "POST", "/payment/create", terms);
  const txid = String(payment.json?.txid);
  expect(payment.json).toMatchObject({ status: "pending_settlement", settlement: { accepts: [provider_ocid] } });
  const transfer = await merchant.call(provider.endpoint, "POST", "/transfer/create", {
    from: { ocid: merchant_ocid, reference: "payer" },
    to: { ocid: ours, reference: txid },
    amount: "10.00",
    currency: "USD",
  });
  const { proof, signature: proved } = transfer.json as { proof: Fields; signature: string };
  const settled = await merchant.call(endpoint, "POST", "/payment/settle", { txid, proof, signature: proved });
  const issued = settled.json as { status: string; proof: Fields; signature: string };
  expect(issued).toMatchObject({ status: "completed", proof: { issuer: ours, to: { reference: "ord_app" } } });
  expect(isSignedBy(spell(issued.proof, "recursive"), issued.signature, String(published.publicKey))).toBe(true);
  // The provider tells us as well, and the payer sends it once more.
  await provider.call(endpoint, "POST", "/transfer/webhook", { proof, signature: proved });
  const again = await merchant.call(endpoint, "POST", "/payment/settle", { txid, proof, signature: proved });
  expect(again.text).toBe(settled.text);

  const status = await fetch(`${endpoint}/orders/ord_app/status`);
  expect(await status.json()).toMatchObject({ orderId: "ord_app", status: "paid", txid });
  const told = await stage.merchant.awaitWebhook(({ body }) => body.merchant_order_id === "opencharge:700:ord_app");
  expect([told.verified, told.body.status]).toEqual([true, "paid"]);
  const raw = new Sqlite(stage.folder.database, { readonly: true });
  const events = raw.query<{ type: string }, []>(
    "SELECT type FROM events JOIN orders ON orders.id = order_id WHERE merchant_order_id = 'opencharge:700:ord_app' ORDER BY n",
  );
  expect(events.all().map(({ type }) => type)).toEqual(["order_created", "order_status_changed"]);
  raw.close();
});
