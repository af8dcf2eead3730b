// `npm run demo`: a real ERC-20 transfer on a real node becomes a paid order and a signed webhook, step by step.
// `--once` stops everything when the order is paid.

import { startAppliance } from "../support/appliance.ts";
import { createShop } from "../support/merchant.ts";
import { payer, setStage, wallet } from "./stage.ts";

interface SeenTransfer {
  txn_hash: string;
  block_number: number;
  blockchain_confirmed: boolean;
  status: string;
}

const step_timeout_ms = 60_000;
const look_interval_ms = 100;

const once = process.argv.includes("--once");
const started = performance.now();
let last = started;

/** Prints a step with the time since the start and since the step before. */
function say(text: string): void {
  const now = performance.now();
  const total = ((now - started) / 1000).toFixed(2).padStart(6);
  const step = ((now - last) / 1000).toFixed(2);
  last = now;
  console.log(`${total} s  (+${step})  ${text}`);
}

async function until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const deadline = performance.now() + step_timeout_ms;
  while (performance.now() < deadline) {
    const found = await look();
    if (found !== undefined) return found;
    await Bun.sleep(look_interval_ms);
  }
  throw new Error(`${what}: not within ${step_timeout_ms / 1000} s`);
}

console.log("A merchant, a payer, a node and Ocrch, all on this machine. Nothing leaves it.\n");
const stage = await setStage({ block_time_s: 1, finality: "3" });
say(`node: anvil plays Ethereum at ${stage.anvil.url}, a block every second`);
say(`coins: USDT (6 decimals) ${stage.coins.USDT.address}, DAI (18 decimals) ${stage.coins.DAI.address}`);
say(`merchant: receives webhooks at ${stage.merchant.webhook_url}`);
const ocrch = await startAppliance({ folder: stage.folder, args: ["--migrate"] });
say(`ocrch: serves ${ocrch.url}, configuration and database in ${stage.folder.path}`);

const shop = createShop(ocrch.url);
const order = await shop.createOrder({
  order_id: "demo-order-1",
  amount: "19.99",
  webhook_url: stage.merchant.webhook_url,
});
say(`order created: ${order.order_id}, 19.99, ${order.status}`);
const live = shop.follow(order.order_id);
const detail = await shop.selectPayment(order.order_id, "eth", "USDT");
say(`deposit: send exactly ${detail.amount} ${detail.stablecoin} on ${detail.blockchain} to ${detail.wallet_address}`);

const hash = await stage.coins.USDT.transfer(payer, wallet, 19_990_000n);
say(`payer: sent 19.99 USDT in transaction ${hash}`);
const transfer = () =>
  fetch(`${ocrch.url}/api/v1/admin/wallets/${wallet}/transfers`, {
    headers: { "Ocrch-Admin-Authorization": "test-admin-secret" },
  })
    .then((response) => response.json() as Promise<SeenTransfer[]>)
    .then((rows) => rows.find((row) => row.txn_hash === hash));
const seen = await until(transfer, "transfer seen");
say(`transfer seen in block ${seen.block_number}: ${seen.status}`);
await until(async () => ((await transfer())?.blockchain_confirmed === true ? true : undefined), "transfer confirmed");
say("transfer confirmed: 3 blocks deep, its receipt read again");
const { statuses, code } = await live;
say(`order paid: the payer's socket saw ${statuses.join(" -> ")} and was closed with ${code}`);
const webhook = await stage.merchant.awaitWebhook((one) => one.body.order_id === order.order_id, step_timeout_ms);
if (!webhook.verified || webhook.body.status !== "paid") throw new Error("the webhook does not verify");
say(`webhook verified: ${webhook.id} says ${webhook.body.status}, both signatures hold`);

async function leave(status: number): Promise<never> {
  await ocrch.stop();
  await stage.clear();
  process.exit(status);
}

if (once) {
  console.log("\nThe order was paid by a transfer on chain and the merchant knows it.");
  await leave(0);
}
console.log(`
Everything keeps running until Ctrl-C.
  health       ${ocrch.url}/health
  orders       curl -H 'Ocrch-Admin-Authorization: test-admin-secret' ${ocrch.url}/api/v1/admin/orders
  status       node_modules/.bin/bun src/main.ts status -c ${stage.folder.config}
  node         ${stage.anvil.url} (unlocked payer ${payer}, merchant wallet ${wallet})`);
process.on("SIGINT", () => void leave(0));
process.on("SIGTERM", () => void leave(0));
