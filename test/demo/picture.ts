// Takes the picture in the README: the real checkout page of a real appliance, in a real browser. Writes
// src/manual/checkout.png, or the path given.

import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { startAppliance } from "../support/appliance.ts";
import { startBrowser } from "../support/browser.ts";
import { startParty } from "../support/opencharge/party.ts";
import { newSecret } from "../support/opencharge/spelling.ts";
import { setStage } from "./stage.ts";

const [, , to = join(import.meta.dir, "../../src/manual/checkout.png")] = process.argv;
const [gateway_ocid, app_ocid] = [200, 300];

const port = await new Promise<number>((resolve) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address();
    server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
  });
});
const endpoint = `http://127.0.0.1:${port}/opencharge`;
const stage = await setStage({ finality: "3", port });
const app = startParty({ ocid: app_ocid, role: "payment_app", name: "Corner Coffee", accepts: [gateway_ocid] });
const { config, path } = stage.folder;
writeFileSync(join(path, "opencharge.key"), `${newSecret()}\n`);
chmodSync(join(path, "opencharge.key"), 0o600);
writeFileSync(
  config,
  `${readFileSync(config, "utf8")}
[opencharge]
gateway_ocid = ${gateway_ocid}
merchants = [${app_ocid}]
private_key_file = "opencharge.key"
endpoint = "${endpoint}"
[[opencharge.pinned]]
ocid = ${app_ocid}
metadata_url = "${app.metadata_url}"
`,
);
const ocrch = await startAppliance({ folder: stage.folder });
app.knows(gateway_ocid, `${endpoint}/metadata.json`);
const browser = await startBrowser();
try {
  const now_s = Math.floor(Date.now() / 1000);
  const money = { amount: "19.99", currency: "USD", createdAt: now_s, expiresAt: now_s + 3600 };
  const order = { id: "coffee-42", ocid: app_ocid, ...money, accepts: [gateway_ocid] };
  const urls = { success: "https://shop.example/done", cancel: "https://shop.example/back" };
  const body = { ...app.signOrder(order), merchantOcid: app_ocid, urls };
  const { json, text } = await app.call(endpoint, "POST", "/checkout/create", body);
  if (typeof json?.checkout_url !== "string") throw new Error(text);
  const { page } = browser;
  await page.goto(json.checkout_url);
  await page.getByRole("button", { name: "USDT on Ethereum" }).click();
  await page.getByText("Send exactly").waitFor();
  await page.screenshot({ path: to, fullPage: true });
} finally {
  await browser.stop();
  await ocrch.stop();
  app.stop();
  await stage.clear();
}
