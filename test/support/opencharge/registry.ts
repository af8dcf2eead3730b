// The registry of identities as a contract on a real chain: what the network's pages print of it, and no more.

import { encodeFunctionData, parseAbi } from "viem/utils";
import type { Anvil } from "../anvil.ts";
import { accounts, mined } from "../coin.ts";

const source = `
pragma solidity ^0.8.20;
contract Registry {
  mapping(uint256 => string) private urls;
  function updateMetadataUrl(uint256 ocid, string calldata url) external { urls[ocid] = url; }
  function resolve(uint256 ocid) external view returns (string memory) {
    require(bytes(urls[ocid]).length > 0, "OCID does not exist");
    return urls[ocid];
  }
}`;
const abi = parseAbi(["function updateMetadataUrl(uint256, string)"]);

/** Compiles it and deploys it. */
export async function deployRegistry(anvil: Anvil) {
  const [from] = accounts;
  const send = async (transaction: Record<string, string>) =>
    mined(anvil, String(await anvil.rpc("eth_sendTransaction", [{ from, ...transaction }])));
  const { contractAddress } = await send({ data: compiled() });
  const address = String(contractAddress);
  return {
    address,
    register: (ocid: number, url: string) =>
      send({
        to: address,
        data: encodeFunctionData({ abi, functionName: "updateMetadataUrl", args: [BigInt(ocid), url] }),
      }),
  };
}

function compiled(): string {
  const solc = require("solc") as { compile(input: string): string };
  const settings = { evmVersion: "paris", outputSelection: { "*": { "*": ["evm.bytecode.object"] } } };
  const input = { language: "Solidity", sources: { "Registry.sol": { content: source } }, settings };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  return `0x${output.contracts["Registry.sol"].Registry.evm.bytecode.object}`;
}
