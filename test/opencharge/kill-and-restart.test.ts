// The whole appliance as a process of its own: killed in the middle, it still knows what it signed, which requests it has
// answered and which proofs it has taken.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Appliance, configText, createFolder, type Folder, startAppliance } from "../support/appliance.ts";
import { type Party, startParty } from "../support/opencharge/party.ts";
import type { Fields } from "../support/opencharge/spelling.ts";

const merchant_ocid = 500;
let folder: Folder;
let appliance: Appliance;
let provider: Party;
let endpoint: string;

function freePort(): number {
  const probe = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("") });
  const { port = 0 } = probe;
  probe.stop(true);
  return port;
}

beforeAll(async () => {
  const port = freePort();
  endpoint = `http://127.0.0.1:${port}/opencharge`;
  provider = startParty({ ocid: 100, role: "settlement_provider" });
  provider.knows(merchant_ocid, `${endpoint}/metadata.json`);
  const base = configText({
    port,
    chains: {
      eth: { rpc_urls: ["http://127.0.0.1:1"], wallets: ["0x52908400098527886E0F7030069857D2E4169EE7"], tokens: {} },
    },
  });
  const section = [
    "[opencharge]",
    `merchant_ocid = ${merchant_ocid}`,
    `endpoint = "${endpoint}"`,
    'orders = "open"',
    "accepts = [100]",
    'private_key_file = "network.key"',
    "[[opencharge.pinned]]",
    "ocid = 100",
    `metadata_url = "${provider.metadata_url}"`,
  ];
  folder = createFolder(`${base}${section.join("\n")}\n`);
  writeFileSync(join(folder.path, "network.key"), "11".repeat(32), { mode: 0o600 });
  appliance = await startAppliance({ folder });
});
afterAll(async () => {
  await appliance.stop("SIGKILL");
  provider.stop();
  folder.remove();
});

test("a kill forgets no order, no nonce and no proof", async () => {
  const asked = { id: "ord_1", ocid: merchant_ocid, amount: "7.50", currency: "USD", expiresAt: soon() };
  const created = await provider.call(endpoint, "POST", "/orders/create", asked);
  expect([created.status, created.signed]).toEqual([200, "valid"]);
  const to = { ocid: merchant_ocid, reference: "ord_1" };
  const envelope = provider.proof({ to, amount: "7.50", currency: "USD", txid: "tx_1" });
  const told = await provider.call(endpoint, "POST", "/transfer/webhook", envelope as unknown as Fields);
  expect(told.json).toEqual({ status: "accepted", txid: "tx_1" });

  await appliance.stop("SIGKILL");
  appliance = await startAppliance({ folder });

  expect((await provider.replay(created.sent)).json).toMatchObject({ error: { code: "NONCE_REUSED" } });
  expect((await provider.replay(told.sent)).json).toMatchObject({ error: { code: "NONCE_REUSED" } });
  const again = await provider.call(endpoint, "POST", "/orders/create", asked);
  expect(again.text).toBe(created.text);
  const retold = await provider.call(endpoint, "POST", "/transfer/webhook", envelope as unknown as Fields);
  expect(retold.text).toBe(told.text);
  const status = await fetch(`${endpoint}/orders/ord_1/status`);
  expect(await status.json()).toMatchObject({ status: "paid", txid: "tx_1" });
  expect(appliance.log.join("\n")).not.toContain("11".repeat(32));
}, 300_000);

const soon = () => Math.floor(Date.now() / 1000) + 900;
