// Deploys the test coin on anvil and moves it, signed by anvil's own unlocked accounts.

import { type Abi, encodeDeployData, encodeFunctionData, getAddress } from "viem";
import type { Anvil } from "./anvil.ts";
import compiled from "./test-coin.json";

/** Anvil's ten funded accounts. */
export const accounts = [
  "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
  "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
  "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
  "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
  "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
  "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
  "0x976EA74026E726554dB657fA54763abd0C3a0aa9",
  "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
  "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
  "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
] as const;

/** Every verb returns the transaction's hash. On an automining chain it is mined by then, and a revert throws. */
export interface Coin {
  address: string;
  decimals: number;
  /** Makes new units; the log says they come from the zero address. */
  mint(to: string, units: bigint): Promise<string>;
  transfer(from: string, to: string, units: bigint): Promise<string>;
  /** Several transfers in one transaction. */
  batch(from: string, to: readonly string[], units: readonly bigint[]): Promise<string>;
  /** A transfer of zero that claims to come from `victim`, sent by `attacker`. */
  poison(attacker: string, victim: string, to: string): Promise<string>;
  /** From now on `basis_points` of each transfer go to the coin's owner. */
  setFee(basis_points: bigint): Promise<string>;
}

const owner = accounts[0];
const receipt_timeout_ms = 120_000;
const abi = compiled.abi as Abi;

/**
 * Deploys a fresh coin, at `place` where the story needs a certain address. On a chain that is mined by hand this mines
 * one block.
 */
export async function deployCoin(anvil: Anvil, decimals: number, symbol: string, place?: string): Promise<Coin> {
  const bytecode = compiled.bytecode as `0x${string}`;
  const data = encodeDeployData({ abi, bytecode, args: [decimals, `Test ${symbol}`, symbol] });
  const deployment = await send(anvil, { from: owner, data });
  if (anvil.mining === "manual") await anvil.rpc("evm_mine");
  const { contractAddress } = await mined(anvil, deployment);
  if (!contractAddress) throw new Error("the test coin was not deployed");
  const address = getAddress(place ?? contractAddress);
  if (place !== undefined) {
    await anvil.rpc("anvil_setCode", [place, await anvil.rpc("eth_getCode", [contractAddress, "latest"])]);
  }

  const act = async (from: string, functionName: string, args: readonly unknown[]) => {
    const hash = await send(anvil, { from, to: address, data: encodeFunctionData({ abi, functionName, args }) });
    if (anvil.mining === "auto") await mined(anvil, hash);
    return hash;
  };
  return {
    address,
    decimals,
    mint: (to, units) => act(owner, "mint", [to, units]),
    transfer: (from, to, units) => act(from, "transfer", [to, units]),
    batch: (from, to, units) => act(from, "batch", [to, units]),
    poison: (attacker, victim, to) => act(attacker, "transferFrom", [victim, to, 0n]),
    setFee: (basis_points) => act(owner, "setFee", [basis_points]),
  };
}

async function send(anvil: Anvil, transaction: Record<string, string>): Promise<string> {
  return (await anvil.rpc("eth_sendTransaction", [transaction])) as string;
}

interface MinedReceipt {
  status: string;
  blockNumber: string;
  contractAddress: string | null;
}

/** Waits for a transaction's receipt. Throws when it failed on chain or is not mined in time. */
export async function mined(anvil: Anvil, hash: string): Promise<MinedReceipt> {
  const deadline = Date.now() + receipt_timeout_ms;
  while (Date.now() < deadline) {
    const receipt = (await anvil.rpc("eth_getTransactionReceipt", [hash])) as MinedReceipt | null;
    if (receipt?.status === "0x0") throw new Error(`transaction ${hash} failed`);
    if (receipt) return receipt;
    await Bun.sleep(10);
  }
  throw new Error(`transaction ${hash} is not mined`);
}
