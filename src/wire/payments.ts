// What the User API tells a payer: schemas and their renderings. Keys in the order clients may rely on.

import { z } from "zod";
import type { ChainId, Coin } from "../domain/assets.ts";
import type { ClaimStatus } from "../domain/payment.ts";
import { amount, chain as blockchain, claimStatus, coin as stablecoin, uuid } from "./values.ts";

export const chainCoinSchema = z
  .object({ blockchain, stablecoin, wallet_address: z.string() })
  .meta({ id: "ChainCoin" });

export const paymentDetailSchema = z
  .object({ order_id: uuid, wallet_address: z.string(), amount, blockchain, stablecoin })
  .meta({ id: "PaymentDetail", description: "What to send where: exactly this amount." });

export const claimSchema = z
  .object({
    status: claimStatus,
    text: z.string().meta({ description: "The same in words." }),
    blockchain: blockchain.nullable().meta({ description: "Where the transaction was found." }),
    txn_hash: z.string(),
  })
  .meta({
    id: "Claim",
    description:
      "accepted: it counts for this order once it is confirmed; already_counted: for this order or for another payment; in_inbox: the merchant will look at it; not_found: not mined so far, or it brings nothing.",
  });

/** ChainCoin: one way to pay. */
export function chainCoinShape(option: {
  chain: ChainId;
  coin: Coin;
  wallet: string;
}): z.infer<typeof chainCoinSchema> {
  return { blockchain: option.chain, stablecoin: option.coin, wallet_address: option.wallet };
}

/** PaymentDetail: what to send where. */
export function paymentDetailShape(deposit: {
  order_id: string;
  wallet: string;
  amount: string;
  chain: ChainId;
  coin: Coin;
}): z.infer<typeof paymentDetailSchema> {
  const { order_id, wallet, amount, chain, coin } = deposit;
  return { order_id, wallet_address: wallet, amount, blockchain: chain, stablecoin: coin };
}

/** Claim. */
export function claimShape(answer: {
  status: ClaimStatus;
  text: string;
  chain: ChainId | null;
  tx_hash: string;
}): z.infer<typeof claimSchema> {
  return { status: answer.status, text: answer.text, blockchain: answer.chain, txn_hash: answer.tx_hash };
}
