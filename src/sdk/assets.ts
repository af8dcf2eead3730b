// The chains and coins of the server, written by assets.mjs from ../domain/assets.ts. Holds no code.

/** A chain, as Ocrch spells it. */
export type Blockchain = "eth" | "polygon" | "base" | "arb" | "op" | "linea" | "avaxc" | "tron";

/** A coin, as Ocrch spells it. */
export type Stablecoin = "USDT" | "USDC" | "DAI";
