// Chains and coins as data. A token is its contract address, never its symbol. Adding a chain or a coin is
// adding a row here, and nothing else. Facts as of 2026: block explorers, token lists and issuers agree on every address here.

import type { Finality, FinalityFacts, FinalityTier } from "./finality.ts";

export const coins = ["USDT", "USDC", "DAI"] as const;
export type Coin = (typeof coins)[number];

export function isCoin(text: unknown): text is Coin {
  return (coins as readonly unknown[]).includes(text);
}

export const explorerKinds = ["etherscan", "blockscout", "routescan", "trongrid"] as const;
export type ExplorerKind = (typeof explorerKinds)[number];

export const explorerNames: Record<ExplorerKind, string> = {
  etherscan: "Etherscan",
  blockscout: "Blockscout",
  routescan: "Routescan",
  trongrid: "TronGrid",
};

export interface Token {
  /** Canonical address of the contract. */
  address: string;
  decimals: number;
  /** What people call it, e.g. `USDC.e`. */
  label: string;
  /** The coin it is accepted as; null: watched and reported, never credited. */
  coin: Coin | null;
  /** Accepted only where a wallet's `enabled_coins` asks for the coin by name (not issued by the coin's maker, or ended). */
  on_request?: true;
}

const usdt = (address: string): Token => ({ address, decimals: 6, label: "USDT", coin: "USDT" });
const usdc = (address: string): Token => ({ address, decimals: 6, label: "USDC", coin: "USDC" });
const dai = (address: string): Token => ({ address, decimals: 18, label: "DAI", coin: "DAI" });
const other = (label: string, address: string): Token => ({ address, decimals: 6, label, coin: null });

/** A depth below the head. Both parts must hold. */
interface Depth {
  blocks: number;
  /** Of chain time. */
  seconds: number;
}

/** What is stated of a chain; depths and widths in blocks follow from its pace (`atPace`). */
interface StatedFacts {
  name: string;
  kind: "evm" | "tron";
  chain_id: number;
  /** The block explorer whose index knows the chain and may be asked free of charge; null: none of these. */
  explorer: ExplorerKind | null;
  /** The Blockscout that answers about the chain without a key; absent: none that can be used. One that redirects cannot. */
  blockscout_url?: string;
  /** Keyless public endpoints used when the configuration names none. */
  public_rpc_urls: readonly string[];
  /** Seconds from one block to the next: the usual ones, and the band outside which a measured pace is an alarm. */
  seconds_per_block: { usual: number; least: number; most: number };
  /** Confirmation policy by amount, smallest tier first. */
  finality: readonly FinalityTier[];
  /** When a block can no longer leave the chain: the basis of the final pass and of releasing reserved amounts. */
  final: Finality;
  /** Stands in for a tag that no node serves. */
  tagless: Depth;
  /** Read again at each poll: a little deeper than the usual reorg. */
  reread: Depth;
  /** A tag further behind the head than this is an alarm: finality stands still. */
  late_tag_s: number;
  /** A tag further behind than this gives way to the depth; absent: it is waited for as long as it takes. */
  stale_tag_s?: number;
}

interface ChainRow extends StatedFacts {
  tokens: readonly Token[];
}

export interface ChainFacts extends StatedFacts, FinalityFacts {
  /** Blocks read again at each poll. */
  overlap: number;
  /** Widest block range asked for before anything was learned about the provider. */
  page_blocks: number;
}

/** Chain time that one page of logs is to cover, within what most providers serve. */
const page_s = 2000;
const page_min_blocks = 1000;
const page_max_blocks = 5000;

/** Blocks that a chain makes in so many seconds, rounded up. */
export function blocksIn(seconds: number, { block_s }: Pick<FinalityFacts, "block_s">): number {
  return Math.ceil(seconds / block_s);
}

/** The facts with depths and widths in blocks for so many seconds from one block to the next. */
export function atPace<Facts extends StatedFacts>(facts: Facts, block_s: number): Facts & ChainFacts {
  const blocksOf = ({ blocks, seconds }: Depth) => Math.max(blocks, blocksIn(seconds, { block_s }));
  return {
    ...facts,
    block_s,
    tagless_depth: blocksOf(facts.tagless),
    overlap: blocksOf(facts.reread),
    page_blocks: Math.min(Math.max(blocksIn(page_s, { block_s }), page_min_blocks), page_max_blocks),
  };
}

const tiers = (small: Finality, large: Finality): FinalityTier[] => [
  { up_to: "1000", finality: small },
  { up_to: null, finality: large },
];

/** One row per chain: all that is stated of it, and the contracts watched there. */
const rows = {
  eth: {
    name: "Ethereum",
    kind: "evm",
    chain_id: 1,
    explorer: "etherscan",
    public_rpc_urls: ["https://ethereum-rpc.publicnode.com", "https://eth.drpc.org", "https://rpc.mevblocker.io"],
    seconds_per_block: { usual: 12, least: 11.5, most: 14 },
    finality: tiers({ blocks: 12, seconds: 120 }, { tag: "finalized" }),
    final: { tag: "finalized" },
    tagless: { blocks: 96, seconds: 1152 },
    late_tag_s: 1800,
    reread: { blocks: 14, seconds: 168 },
    tokens: [
      usdt("0xdAC17F958D2ee523a2206206994597C13D831ec7"),
      usdc("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"),
      dai("0x6B175474E89094C44Da98b954EedeAC495271d0F"),
    ],
  },
  polygon: {
    name: "Polygon",
    kind: "evm",
    chain_id: 137,
    explorer: "etherscan",
    public_rpc_urls: ["https://polygon-bor-rpc.publicnode.com", "https://polygon.drpc.org"],
    seconds_per_block: { usual: 2, least: 1, most: 3 },
    finality: tiers({ tag: "finalized" }, { tag: "finalized", blocks: 64, seconds: 120 }),
    final: { tag: "finalized" },
    tagless: { blocks: 128, seconds: 256 },
    late_tag_s: 60,
    // Its milestones have stood still without a reorg following.
    stale_tag_s: 60,
    reread: { blocks: 32, seconds: 64 },
    tokens: [
      usdt("0xc2132D05D31c914a87C6611C10748AEb04B58e8F"),
      usdc("0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359"),
      dai("0x8f3Cf7ad23Cd3CaDbD9735AFf958023239c6A063"),
      other("USDC.e", "0x2791Bca1f2de4661ED88A30C99A7a9449Aa84174"),
    ],
  },
  base: {
    name: "Base",
    kind: "evm",
    chain_id: 8453,
    explorer: "blockscout",
    blockscout_url: "https://base.blockscout.com",
    public_rpc_urls: ["https://mainnet.base.org", "https://base-rpc.publicnode.com", "https://base.drpc.org"],
    seconds_per_block: { usual: 0.2, least: 0.15, most: 0.3 },
    finality: tiers({ blocks: 10, seconds: 20 }, { tag: "safe" }),
    final: { tag: "finalized" },
    tagless: { blocks: 300, seconds: 600 },
    late_tag_s: 1800,
    reread: { blocks: 15, seconds: 30 },
    tokens: [
      { ...usdt("0xfde4C96c8593536E31F229EA8f37b2ADa2699bb2"), on_request: true },
      usdc("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"),
      dai("0x50c5725949A6F0c72E6C4a641F24049A917DB0Cb"),
      other("USDT0 (Stargate)", "0x102d758f688a4C1C5a80b116bD945d4455460282"),
      other("USDbC", "0xd9aAEc86B65D86f6A7B5B1b0c42FFA531710b6CA"),
    ],
  },
  arb: {
    name: "Arbitrum One",
    kind: "evm",
    chain_id: 42161,
    explorer: "etherscan",
    public_rpc_urls: [
      "https://arb1.arbitrum.io/rpc",
      "https://arbitrum-one-rpc.publicnode.com",
      "https://arbitrum.drpc.org",
    ],
    seconds_per_block: { usual: 0.25, least: 0.1, most: 1 },
    finality: tiers({ blocks: 40, seconds: 10 }, { tag: "safe" }),
    final: { tag: "finalized" },
    tagless: { blocks: 2400, seconds: 600 },
    late_tag_s: 1800,
    reread: { blocks: 80, seconds: 20 },
    tokens: [
      usdt("0xFd086bC7CD5C481DCC9C85ebE478A1C0b69FCbb9"),
      usdc("0xaf88d065e77c8cC2239327C5EDb3A432268e5831"),
      dai("0xDA10009cBd5D07dd0CeCc66161FC93D7c9000da1"),
      other("USDC.e", "0xFF970A61A04b1cA14834A43f5dE4533eBDDB5CC8"),
    ],
  },
  op: {
    name: "Optimism",
    kind: "evm",
    chain_id: 10,
    explorer: "blockscout",
    blockscout_url: "https://explorer.optimism.io",
    public_rpc_urls: [
      "https://mainnet.optimism.io",
      "https://optimism-rpc.publicnode.com",
      "https://optimism.drpc.org",
    ],
    seconds_per_block: { usual: 2, least: 1.9, most: 2.2 },
    finality: tiers({ blocks: 10, seconds: 20 }, { tag: "safe" }),
    final: { tag: "finalized" },
    tagless: { blocks: 300, seconds: 600 },
    late_tag_s: 1800,
    reread: { blocks: 15, seconds: 30 },
    tokens: [
      usdt("0x94b008aA00579c1307B0EF2c499aD98a8ce58e58"),
      { ...usdt("0x01bFF41798a0BcF287b996046Ca68b395DbC1071"), label: "USDT0" },
      usdc("0x0b2C639c533813f4Aa9D7837CAf62653d097Ff85"),
      dai("0xDA10009cBd5D07dd0CeCc66161FC93D7c9000da1"),
      other("USDC.e", "0x7F5c764cBc14f9669B88837ca1490cCa17c31607"),
    ],
  },
  linea: {
    name: "Linea",
    kind: "evm",
    chain_id: 59144,
    explorer: "etherscan",
    public_rpc_urls: ["https://rpc.linea.build", "https://linea-rpc.publicnode.com", "https://linea.drpc.org"],
    // Linea's `finalized` means proven on Ethereum, hours later; its soft blocks are documented not to reorg.
    seconds_per_block: { usual: 2, least: 0.8, most: 4 },
    finality: tiers({ blocks: 12, seconds: 20 }, { blocks: 300, seconds: 600 }),
    final: { blocks: 300, seconds: 600 },
    tagless: { blocks: 300, seconds: 600 },
    late_tag_s: 86_400,
    reread: { blocks: 20, seconds: 40 },
    tokens: [
      usdt("0xA219439258ca9da29E9Cc4cE5596924745e12B93"),
      usdc("0x176211869cA2b568f2A7D4EE941E073a821EE1ff"),
      dai("0x4AF15ec2A0BD43Db75dd04E62FAA3B8EF36b00d5"),
    ],
  },
  avaxc: {
    name: "Avalanche C-Chain",
    kind: "evm",
    chain_id: 43114,
    explorer: "routescan",
    public_rpc_urls: [
      "https://api.avax.network/ext/bc/C/rpc",
      "https://avalanche-c-chain-rpc.publicnode.com",
      "https://avalanche.drpc.org",
    ],
    // Execution follows acceptance: `latest` is executed, `finalized` is settled. An executed block was accepted, which is final.
    seconds_per_block: { usual: 1.7, least: 0.8, most: 3 },
    finality: tiers({ blocks: 1 }, { tag: "finalized" }),
    final: { tag: "finalized" },
    tagless: { blocks: 10, seconds: 20 },
    late_tag_s: 60,
    reread: { blocks: 2, seconds: 4 },
    tokens: [
      usdt("0x9702230A8Ea53601f5cD2dc00fDBc13d4dF4A8c7"),
      usdc("0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E"),
      dai("0xd586E7F844cEa2F87f50152665BCbc2C279D8d70"),
      other("USDT.e", "0xc7198437980c041c805A1EDcbA50c1Ce5db95118"),
      other("USDC.e", "0xA7D7079b0FEaD91F3e65f86E8915Cb59c1a4C664"),
    ],
  },
  tron: {
    name: "Tron",
    kind: "tron",
    chain_id: 728126428,
    explorer: "trongrid",
    public_rpc_urls: ["https://api.trongrid.io/jsonrpc", "https://tron.drpc.org"],
    seconds_per_block: { usual: 3, least: 2.9, most: 3.5 },
    finality: tiers({ tag: "finalized" }, { tag: "finalized" }),
    final: { tag: "finalized" },
    tagless: { blocks: 27, seconds: 81 },
    late_tag_s: 300,
    reread: { blocks: 25, seconds: 75 },
    tokens: [
      usdt("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
      { ...usdc("TEkxiTehnzSmSe2XqrBj4w32RUN966rdz8"), on_request: true },
    ],
  },
} satisfies Record<string, ChainRow>;

export type ChainId = keyof typeof rows;

/** Every chain, in the order in which they are listed to people. */
export const chainIds = Object.keys(rows) as [ChainId, ...ChainId[]];

export function isChainId(text: unknown): text is ChainId {
  return (chainIds as readonly unknown[]).includes(text);
}

const rowOf = (id: ChainId): ChainRow => rows[id];

/** Every chain, with depths and widths in blocks for its usual pace. */
export const chainFacts = Object.fromEntries(
  chainIds.map((id) => [id, atPace<StatedFacts>(rowOf(id), rowOf(id).seconds_per_block.usual)]),
) as Record<ChainId, ChainFacts>;

/** The contracts watched on each chain. */
export const tokens = Object.fromEntries(chainIds.map((id) => [id, rowOf(id).tokens])) as Record<
  ChainId,
  readonly Token[]
>;

/** A chain's name in the CAIP-2 registry: `eip155:1`, `tron:0x2b6653dc`. */
export function registeredName(id: ChainId): string {
  const { kind, chain_id } = chainFacts[id];
  return kind === "evm" ? `eip155:${chain_id}` : `tron:0x${chain_id.toString(16)}`;
}
