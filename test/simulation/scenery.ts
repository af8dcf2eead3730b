// Where a world plays: the two chains it has of the eight, each with its own pace, tags and contracts, and the
// merchant's wallets on them. Numbers of blocks are small, so that a few hundred seconds hold what takes a day elsewhere.

import { tronAddress } from "../../src/domain/address.ts";
import type { ChainId } from "../../src/domain/assets.ts";
import type { Finality, FinalityTag } from "../../src/domain/finality.ts";
import type { Random } from "./random.ts";

/** A chain that worlds play on. */
export type SimChainId = keyof typeof indexKinds;

export interface SimToken {
  chain: SimChainId;
  address: string;
  decimals: number;
  /** Null: watched, never credited. */
  coin: "USDT" | "DAI" | "USDC" | null;
}

export interface SimWallet {
  chain: SimChainId;
  address: string;
  coins: readonly ("USDT" | "DAI" | "USDC")[];
}

export type WalletName = "first" | "second" | "third";

/** The index that may be asked about a chain. */
export type IndexKind = "etherscan" | "routescan" | "blockscout" | "trongrid";

export const indexKinds = {
  eth: "etherscan",
  polygon: "etherscan",
  base: "blockscout",
  arb: "etherscan",
  op: "blockscout",
  linea: "etherscan",
  avaxc: "routescan",
  tron: "trongrid",
} satisfies Partial<Record<ChainId, IndexKind>>;

/** What a chain is and how the settings have it read. */
export interface Reading {
  chain_id: number;
  /** Seconds from block to block; times of blocks are whole seconds. */
  block_s: number;
  safe_depth: number;
  final_depth: number;
  /** Tags that its nodes know. */
  tags: readonly FinalityTag[];
  /** Blocks that a reorganisation replaces at most: usually, and in worlds where small payments may leave the chain. */
  reorg_max: { usual: number; deep: number };
  final: Finality;
  tagless_depth: number;
  overlap: number;
  page_blocks: number;
  /** As the file has it: a tier up to 50, a tier for more. */
  finality: string;
}

const small_up_to = "50";
const one_tier = '"finalized"';
const tiers = (small: string, large: string) =>
  `[{ up_to = "${small_up_to}", finality = ${small} }, { finality = ${large} }]`;
const both: readonly FinalityTag[] = ["safe", "finalized"];

export const readings: Record<SimChainId, Reading> = {
  eth: {
    chain_id: 1,
    block_s: 12,
    safe_depth: 5,
    final_depth: 8,
    tags: both,
    reorg_max: { usual: 2, deep: 5 },
    final: { tag: "finalized" },
    tagless_depth: 10,
    overlap: 4,
    page_blocks: 16,
    finality: tiers("3", '"finalized"'),
  },
  polygon: {
    chain_id: 137,
    block_s: 2,
    safe_depth: 4,
    final_depth: 5,
    tags: both,
    reorg_max: { usual: 3, deep: 5 },
    final: { blocks: 7 },
    tagless_depth: 8,
    overlap: 5,
    page_blocks: 30,
    finality: tiers('"finalized"', '"finalized+9"'),
  },
  // Five blocks share a second.
  base: {
    chain_id: 8453,
    block_s: 0.2,
    safe_depth: 60,
    final_depth: 120,
    tags: both,
    reorg_max: { usual: 20, deep: 60 },
    final: { tag: "finalized" },
    tagless_depth: 150,
    overlap: 30,
    page_blocks: 300,
    finality: tiers('"40+10s"', '"safe"'),
  },
  arb: {
    chain_id: 42161,
    block_s: 0.25,
    safe_depth: 50,
    final_depth: 100,
    tags: both,
    reorg_max: { usual: 15, deep: 50 },
    final: { tag: "finalized" },
    tagless_depth: 120,
    overlap: 25,
    page_blocks: 250,
    finality: tiers("30", '"safe"'),
  },
  op: {
    chain_id: 10,
    block_s: 2,
    safe_depth: 6,
    final_depth: 12,
    tags: both,
    reorg_max: { usual: 3, deep: 6 },
    final: { tag: "finalized" },
    tagless_depth: 15,
    overlap: 5,
    page_blocks: 40,
    finality: tiers('"2+6s"', '"safe"'),
  },
  // Its `finalized` comes so late that depth decides.
  linea: {
    chain_id: 59144,
    block_s: 2,
    safe_depth: 30,
    final_depth: 40,
    tags: ["finalized"],
    reorg_max: { usual: 3, deep: 8 },
    final: { blocks: 20 },
    tagless_depth: 20,
    overlap: 6,
    page_blocks: 40,
    finality: tiers("6", "20"),
  },
  // What it has executed stands; `finalized` is what it has settled, a little behind.
  avaxc: {
    chain_id: 43114,
    block_s: 1.5,
    safe_depth: 3,
    final_depth: 3,
    tags: both,
    reorg_max: { usual: 0, deep: 0 },
    final: { blocks: 1 },
    tagless_depth: 1,
    overlap: 2,
    page_blocks: 40,
    finality: tiers("1", '"finalized"'),
  },
  tron: {
    chain_id: 728126428,
    block_s: 3,
    safe_depth: 6,
    final_depth: 6,
    tags: ["finalized"],
    reorg_max: { usual: 2, deep: 4 },
    final: { tag: "finalized" },
    tagless_depth: 9,
    overlap: 7,
    page_blocks: 30,
    finality: one_tier,
  },
};

const token = (chain: SimChainId, coin: SimToken["coin"], address: string, decimals = 6): SimToken => ({
  chain,
  coin,
  address,
  decimals,
});

/** Contracts, accepted ones first. A world has some of each chain's. */
export const simTokens: readonly SimToken[] = [
  token("eth", "USDT", "0xdAC17F958D2ee523a2206206994597C13D831ec7"),
  token("eth", "DAI", "0x6B175474E89094C44Da98b954EedeAC495271d0F", 18),
  token("eth", "USDC", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"),
  token("polygon", "USDT", "0xc2132D05D31c914a87C6611C10748AEb04B58e8F"),
  token("polygon", "DAI", "0x8f3Cf7ad23Cd3CaDbD9735AFf958023239c6A063", 18),
  token("polygon", "USDC", "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359"),
  token("polygon", null, "0x2791Bca1f2de4661ED88A30C99A7a9449Aa84174"),
  token("base", "USDT", "0xfde4C96c8593536E31F229EA8f37b2ADa2699bb2"),
  token("base", "DAI", "0x50c5725949A6F0c72E6C4a641F24049A917DB0Cb", 18),
  token("base", "USDC", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"),
  token("base", null, "0xd9aAEc86B65D86f6A7B5B1b0c42FFA531710b6CA"),
  token("arb", "USDT", "0xFd086bC7CD5C481DCC9C85ebE478A1C0b69FCbb9"),
  token("arb", "DAI", "0xDA10009cBd5D07dd0CeCc66161FC93D7c9000da1", 18),
  token("arb", "USDC", "0xaf88d065e77c8cC2239327C5EDb3A432268e5831"),
  token("arb", null, "0xFF970A61A04b1cA14834A43f5dE4533eBDDB5CC8"),
  // Optimism has two contracts of one coin.
  token("op", "USDT", "0x94b008aA00579c1307B0EF2c499aD98a8ce58e58"),
  token("op", "USDT", "0x01bFF41798a0BcF287b996046Ca68b395DbC1071"),
  token("op", "DAI", "0xDA10009cBd5D07dd0CeCc66161FC93D7c9000da1", 18),
  token("op", "USDC", "0x0b2C639c533813f4Aa9D7837CAf62653d097Ff85"),
  token("op", null, "0x7F5c764cBc14f9669B88837ca1490cCa17c31607"),
  token("linea", "USDT", "0xA219439258ca9da29E9Cc4cE5596924745e12B93"),
  token("linea", "DAI", "0x4AF15ec2A0BD43Db75dd04E62FAA3B8EF36b00d5", 18),
  token("linea", "USDC", "0x176211869cA2b568f2A7D4EE941E073a821EE1ff"),
  token("avaxc", "USDT", "0x9702230A8Ea53601f5cD2dc00fDBc13d4dF4A8c7"),
  token("avaxc", "DAI", "0xd586E7F844cEa2F87f50152665BCbc2C279D8d70", 18),
  token("avaxc", "USDC", "0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E"),
  token("avaxc", null, "0xc7198437980c041c805A1EDcbA50c1Ce5db95118"),
  token("tron", "USDT", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
  token("tron", "USDC", "TEkxiTehnzSmSe2XqrBj4w32RUN966rdz8"),
];

/** A contract that an issuer may go over to: no built-in one. */
const next_contract = "0xcd234A471b72ba2F1Ccf0A70FCABA648a5eeCD8d";

export interface Scenery {
  /** Has the first and the second wallet; most things happen there. */
  main: SimChainId;
  /** Has the third. */
  side: SimChainId;
  chains: readonly SimChainId[];
  wallets: Readonly<Record<WalletName, SimWallet>>;
  /** What is watched on both chains. */
  tokens: readonly SimToken[];
  /** A second contract of the main chain's USDT, one of the tokens: accepted where the settings name it. */
  second: SimToken | null;
}

const addresses: Readonly<Record<WalletName, string>> = {
  first: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
  second: "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
  third: "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
};
/** Of the worlds: these play on Ethereum and Polygon. */
const usual_percent = 50;

/** The scenery of a seed. */
export function drawScenery(random: Random, has_second: boolean): Scenery {
  if (random.chance(usual_percent)) return sceneryOf("eth", "polygon", has_second);
  const [main, side] = random.shuffled(Object.keys(readings) as SimChainId[]) as [SimChainId, SimChainId];
  return sceneryOf(main, side, has_second);
}

function sceneryOf(main: SimChainId, side: SimChainId, has_second: boolean): Scenery {
  const second = has_second && main !== "tron" ? token(main, "USDT", next_contract) : null;
  const usual = simTokens.filter(
    ({ chain, coin }) => coinsOf(chain, chain === main).includes(coin) && [main, side].includes(chain),
  );
  const wallet = (name: WalletName, chain: SimChainId, coins: SimWallet["coins"]): SimWallet => ({
    chain,
    address: spelledOn(chain, addresses[name]),
    coins,
  });
  return {
    main,
    side,
    chains: [main, side],
    wallets: {
      first: wallet("first", main, main === "tron" ? ["USDT", "USDC"] : ["USDT", "DAI"]),
      second: wallet("second", main, ["USDT"]),
      third: wallet("third", side, side === "tron" ? ["USDT"] : ["USDC"]),
    },
    tokens: second === null ? usual : [...usual, second],
    second,
  };
}

/** What is watched on a chain: the coins of the wallets there, and one that they do not take. */
function coinsOf(chain: SimChainId, is_main: boolean): readonly SimToken["coin"][] {
  if (chain === "tron") return ["USDT", "USDC"];
  if (is_main) return ["USDT", "DAI"];
  return ["USDC", simTokens.some((one) => one.chain === chain && one.coin === null) ? null : "USDT"];
}

/** An address of an EVM chain as a chain writes it; one that is Tron's already stays as it is. */
export function spelledOn(chain: SimChainId, address: string): string {
  return chain === "tron" && address.startsWith("0x") ? tronAddress(address) : address;
}

/** True for an amount of the first tier of a chain's finality. */
export function isSmall(chain: SimChainId, units: bigint, decimals: number): boolean {
  return readings[chain].finality === one_tier || units <= BigInt(small_up_to) * 10n ** BigInt(decimals);
}

/** So many blocks as a chain makes in this time, and at least this many. */
export function blocksIn(chain: SimChainId, seconds: number, at_least: number): number {
  return Math.max(at_least, Math.ceil(seconds / readings[chain].block_s));
}

// Loaded before any world sets its traps.
tronAddress(addresses.first);
