// alone
// A hosted checkout from end to end: a gateway of the network sends a merchant's signed order, a payer chooses on the
// page and pays on a real node, and both are told by a proof they verify themselves. The appliance is a process.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { payer, type Stage, setStage, wallet } from "./demo/stage.ts";
import { type Appliance, fromSource, startAppliance } from "./support/appliance.ts";
import { type Party, startParty } from "./support/opencharge/party.ts";
import { type Fields, newSecret } from "./support/opencharge/spelling.ts";

const [ours, gateway_ocid, merchant_ocid] = [200, 300, 500];
const delivery_timeout_ms = 20_000;

let stage: Stage;
let ocrch: Appliance;
let gateway: Party;
let merchant: Party;
let endpoint: string;

beforeAll(async () => {
  stage = await setStage({ finality: "5", port: await freePort() });
  gateway = startParty({ ocid: gateway_ocid, role: "merchant_gateway", accepts: [gateway_ocid, ours] });
  merchant = startParty({ ocid: merchant_ocid, role: "payment_app", accepts: [ours, gateway_ocid] });
  addSection();
  ocrch = await startAppliance({ folder: stage.folder });
  for (const party of [gateway, merchant]) party.knows(ours, `${endpoint}/metadata.json`);
  gateway.knows(merchant_ocid, merchant.metadata_url);
});
afterAll(async () => {
  await ocrch.stop();
  for (const party of [gateway, merchant]) party.stop();
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
  const pins = [gateway, merchant].map(
    ({ ocid, metadata_url }) => `[[opencharge.pinned]]\nocid = ${ocid}\nmetadata_url = "${metadata_url}"`,
  );
  const section = [
    "[opencharge]",
    `gateway_ocid = ${ours}`,
    `merchants = [${merchant_ocid}]`,
    `private_key_file = "opencharge.key"`,
    `endpoint = "${endpoint}"`,
    ...pins,
  ];
  writeFileSync(config, `${text}\n${section.join("\n")}\n`);
}

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

async function open(id: string, amount: string, from: Party): Promise<string> {
  const now_s = Math.floor(Date.now() / 1000);
  const money = { amount, currency: "USD", createdAt: now_s, expiresAt: now_s + 3600 };
  const order: Fields = { id, ocid: merchant_ocid, ...money, accepts: [ours, gateway_ocid] };
  const urls = { success: "https://shop.example/done", cancel: "https://shop.example/back" };
  const body = { ...merchant.signOrder(order), merchantOcid: merchant_ocid, urls };
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
    .get("ord_cash")?.id;
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
