// What the demo plays on: a node with two test coins, a merchant, a configuration in a temporary folder.

import { type Anvil, startAnvil } from "../support/anvil.ts";
import { configText, createFolder, type Folder } from "../support/appliance.ts";
import { accounts, type Coin, deployCoin } from "../support/coin.ts";
import { type Merchant, startMerchant } from "../support/merchant.ts";

export const [, payer, wallet] = accounts;

export interface Stage {
  anvil: Anvil;
  coins: { USDT: Coin; DAI: Coin };
  merchant: Merchant;
  folder: Folder;
  clear(): Promise<void>;
}

/** Sets the stage. `block_time_s` seconds between blocks; without it every transaction is mined at once. */
export async function setStage(options: { block_time_s?: number; finality: string; port?: number }): Promise<Stage> {
  const anvil = await startAnvil({
    chainId: 1,
    slotsInAnEpoch: 2,
    ...(options.block_time_s === undefined ? {} : { blockTime: options.block_time_s }),
  });
  const coins = { USDT: await deployCoin(anvil, 6, "USDT"), DAI: await deployCoin(anvil, 18, "DAI") };
  await coins.USDT.mint(payer, 1_000_000n * 10n ** 6n);
  await coins.DAI.mint(payer, 1_000_000n * 10n ** 18n);
  const merchant = startMerchant();
  const folder = createFolder(
    configText({
      port: options.port ?? 0,
      unknown_transfer_webhook_url: merchant.webhook_url,
      chains: {
        eth: {
          rpc_urls: [anvil.url],
          wallets: [wallet],
          finality: options.finality,
          tokens: {
            USDT: { address: coins.USDT.address, decimals: 6 },
            DAI: { address: coins.DAI.address, decimals: 18 },
          },
        },
      },
    }),
  );
  return {
    anvil,
    coins,
    merchant,
    folder,
    async clear() {
      await merchant.stop();
      await anvil.stop();
      folder.remove();
    },
  };
}
