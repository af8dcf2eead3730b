import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Anvil, startAnvil } from "../support/anvil.ts";
import { accounts, type Coin, deployCoin, mined } from "../support/coin.ts";
import { compileCoin } from "../support/compile-coin.ts";
import committed from "../support/test-coin.json";

const [owner, payer, shop] = accounts;

let anvil: Anvil;
let coin: Coin;

beforeAll(async () => {
  anvil = await startAnvil();
  coin = await deployCoin(anvil, 6, "USDT");
  await coin.mint(payer, 1_000n);
});

afterAll(() => anvil.stop());

async function balance(holder: string): Promise<bigint> {
  const data = `0x70a08231${holder.slice(2).padStart(64, "0")}`;
  return BigInt((await anvil.rpc("eth_call", [{ to: coin.address, data }, "latest"])) as string);
}

test("the committed bytecode is what the source compiles to", () => {
  expect(compileCoin()).toEqual(committed);
});

test("the coin moves what it is told to, and nothing it does not have", async () => {
  await coin.transfer(payer, shop, 300n);
  expect([await balance(payer), await balance(shop)]).toEqual([700n, 300n]);
  await expect(coin.transfer(payer, shop, 701n)).rejects.toThrow("failed");
});

test("with a fee on, the recipient gets the net amount and the owner the rest", async () => {
  await coin.setFee(100n);
  await coin.transfer(payer, shop, 200n);
  await coin.setFee(0n);
  expect([await balance(shop), await balance(owner)]).toEqual([498n, 2n]);
});

test("on a chain mined by hand a transfer waits for its block", async () => {
  const manual = await startAnvil({ automine: false, chainId: 137, timestamp: 1_800_000_000 });
  const usdc = await deployCoin(manual, 6, "USDC");
  const minting = await usdc.mint(payer, 5n);
  expect(await manual.rpc("eth_getTransactionReceipt", [minting])).toBeNull();
  await manual.rpc("evm_mine");
  expect(Number((await mined(manual, minting)).blockNumber)).toBe(2);
  expect(Number(await manual.rpc("eth_chainId"))).toBe(137);
  await manual.stop();
});

test("a stopped node is gone", async () => {
  const brief = await startAnvil();
  await brief.stop();
  await expect(brief.rpc("eth_chainId")).rejects.toThrow("ECONNREFUSED");
  expect(() => process.kill(brief.pid, 0)).toThrow("ESRCH");
});
