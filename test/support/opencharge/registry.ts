// The registry of identities: as a contract on a real chain, what the network's pages print of it and no more; and as a
// node that answers for one, under any of the names in circulation.

import { encodeAbiParameters } from "viem";
import { encodeFunctionData, parseAbi, toFunctionSelector } from "viem/utils";
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

export type Registry = ReturnType<typeof startRegistry>;

/** A node with one contract that maps OCIDs to addresses, under whichever of the function names it has. */
export function startRegistry() {
  const urls = new Map<number, string>();
  const owners = new Map<number, string>();
  let has = "resolve(uint256)";
  let calls = 0;
  let failure: { code: number; message: string } | null = null;

  function call(data: string) {
    if (failure !== null) return { error: failure };
    const owner = owners.get(Number(BigInt(`0x${data.slice(10)}`)));
    if (owner !== undefined && data.startsWith(toFunctionSelector("ownerOf(uint256)"))) {
      return { result: encodeAbiParameters([{ type: "address" }], [owner as `0x${string}`]) };
    }
    const url = data.startsWith(toFunctionSelector(has)) ? urls.get(Number(BigInt(`0x${data.slice(10)}`))) : undefined;
    if (url === undefined) return { error: { code: 3, message: "execution reverted" } };
    return { result: encodeAbiParameters([{ type: "string" }], [url]) };
  }

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      calls++;
      const batch = (await request.json()) as { id: number; method: string; params: [{ data: string }] }[];
      return Response.json(
        batch.map(({ id, method, params }) => ({
          jsonrpc: "2.0",
          id,
          ...(method === "eth_chainId" ? { result: "0x38" } : call(params[0].data)),
        })),
      );
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    urls,
    owners,
    get calls() {
      return calls;
    },
    nameIt(name: string) {
      has = name;
    },
    fail(with_: { code: number; message: string }) {
      failure = with_;
    },
    reset() {
      urls.clear();
      owners.clear();
      has = "resolve(uint256)";
      failure = null;
    },
    stop: () => server.stop(true),
  };
}
