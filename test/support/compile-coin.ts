// Compiles TestCoin.sol. Run as a program it rewrites test-coin.json; a test checks that file against the source.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface CompiledCoin {
  compiler: string;
  abi: unknown[];
  bytecode: string;
}

export const coin_json = join(import.meta.dir, "test-coin.json");

export function compileCoin(): CompiledCoin {
  const solc = require("solc") as { version(): string; compile(input: string): string };
  const input = {
    language: "Solidity",
    sources: { "TestCoin.sol": { content: readFileSync(join(import.meta.dir, "TestCoin.sol"), "utf8") } },
    settings: {
      optimizer: { enabled: true, runs: 200 },
      evmVersion: "paris",
      metadata: { appendCBOR: false, bytecodeHash: "none" },
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const coin = output.contracts?.["TestCoin.sol"]?.TestCoin;
  if (coin === undefined) throw new Error(JSON.stringify(output.errors));
  return { compiler: solc.version(), abi: coin.abi, bytecode: `0x${coin.evm.bytecode.object}` };
}

if (import.meta.main) writeFileSync(coin_json, `${JSON.stringify(compileCoin(), null, 2)}\n`);
