// The adapter contract on block explorers, and what they alone can get wrong.

import { createExplorerSource } from "../src/chains/explorer-source.ts";
import { connectExplorer } from "../src/chains/explorers.ts";
import { createPaces } from "../src/chains/pace.ts";
import type { Source } from "../src/chains/source.ts";
import type { ChainSettings } from "../src/config/config.ts";
import { type ChainId, chains, type ExplorerKind } from "../src/domain/assets.ts";
import { createOutbound } from "../src/outbound.ts";
import { createTelemetry } from "../src/telemetry.ts";
import { startAnvil } from "./support/anvil.ts";
import { no_keys } from "./support/appliance.ts";
import { type Manner, refusingWith, startExplorerEmulator, throttled } from "./support/explorer-emulator.ts";
import { hurriedWorld } from "./support/hurried-world.ts";
import { type SourceStand, sourceContract } from "./support/source-contract.ts";

const key = "K3Y0123456789ABCDEFSECRET";

function source(chain: ChainId, kind: ExplorerKind, url: string): Source {
  const world = hurriedWorld();
  const facts = chains[chain];
  const settings: ChainSettings = {
    id: chain,
    facts,
    chain_id: facts.chain_id,
    rpc_urls: [],
    public_endpoints: true,
    verify: { above: null, asked: false },
    explorer: { kind, url, key, reads: true },
    api_keys: no_keys,
    finality: facts.finality,
    poll_ms: 1000,
    idle_poll_ms: 1000,
    start_block: null,
    tokens: [],
  };
  const explorer = connectExplorer({
    settings,
    outbound: createOutbound({ world }),
    world,
    paces: createPaces({ world }),
  });
  if (explorer === null) throw new Error("the settings name an explorer");
  const telemetry = createTelemetry(world);
  return createExplorerSource({ chain, chain_id: facts.chain_id, explorer, world, telemetry });
}

const spoiled = (field: string, value: unknown): Manner => ({ row: (row) => ({ ...row, [field]: value }) });
const nodes = (method: string, change: (result: Record<string, unknown>) => unknown): Manner => ({
  node: (asked, _, result) =>
    asked === method && result !== null ? change(result as Record<string, unknown>) : result,
});

const any: [string, Manner][] = [
  ["a web page", { answer: () => new Response("<html>Welcome</html>") }],
  ["an overload", { answer: () => new Response("", { status: 503 }) }],
  ["throttling", { answer: () => Response.json({ message: "slow down" }, { status: 429 }) }],
  ["a key that is not taken", { answer: () => Response.json({ error: "no key" }, { status: 401 }) }],
  ["an index behind its node", { lag: 3 }],
  ["every row twice", { rows: (rows) => rows.flatMap((row) => [row, row]) }],
  ["other amounts than the chain has", { rows: (rows) => rows.map((row) => ({ ...row, value: row.value + 1n })) }],
  ["other blocks than the chain has", { rows: (rows) => rows.map((row) => ({ ...row, block: row.block + 1 })) }],
  ["other times than the chain has", { rows: (rows) => rows.map((row) => ({ ...row, time: row.time + 10_000 })) }],
  [
    "coins of strangers among them",
    { rows: (rows) => rows.flatMap((row) => [row, { ...row, token: row.from, log_index: row.log_index + 100 }]) },
  ],
  ["transactions nobody sent", { rows: (rows) => rows.map((row) => ({ ...row, tx_hash: `0x${"12".repeat(32)}` })) }],
  ["newest first", { rows: (rows) => rows.toReversed() }],
  ["no receipts", { node: (method, _, result) => (method === "eth_getTransactionReceipt" ? null : result) }],
  ["half a receipt", nodes("eth_getTransactionReceipt", (receipt) => ({ ...receipt, logs: [] }))],
  ["receipts of another block", nodes("eth_getTransactionReceipt", (receipt) => ({ ...receipt, blockNumber: "0x1" }))],
  ["headers of another branch", nodes("eth_getBlockByNumber", (header) => ({ ...header, number: "0x1" }))],
];

async function stand(
  chain: ChainId,
  kind: ExplorerKind,
  more: { lacks: SourceStand["lacks"]; troubles: [string, Manner][] },
): Promise<SourceStand> {
  const anvil = await startAnvil({ chainId: chains[chain].chain_id, slotsInAnEpoch: 2 });
  const emulator = startExplorerEmulator(anvil);
  const url = kind === "blockscout" ? emulator.blockscout : emulator.etherscan;
  return {
    chain,
    chain_id: chains[chain].chain_id,
    anvil,
    source: () => source(chain, kind, url),
    providers: [emulator.host],
    address: (hex) => hex,
    tx: (hex) => hex,
    block: (hex) => hex,
    lacks: more.lacks ?? [],
    lagAt: (number) => emulator.behave({ top: number }),
    troubles: [...any, ...more.troubles].map(([what, manner]) => ({ what, begin: () => emulator.behave(manner) })),
    mend: () => emulator.reset(),
    async stop() {
      await emulator.stop();
      await anvil.stop();
    },
  };
}

const etherscanTroubles: [string, Manner][] = [
  ["too many calls", { answer: () => Response.json(throttled) }],
  ["an empty sentence", refusingWith("")],
  ["a null where rows should be", refusingWith(null, "Query Timeout occured. Please select a smaller result dataset")],
  ["an unknown sentence", refusingWith("Error! Something new")],
  ["status 1 without rows", { answer: () => Response.json({ status: "1", message: "OK", result: "soon" }) }],
  ["a value that is none", spoiled("value", "1.5")],
  ["a hash that is none", spoiled("hash", "0x12")],
];

sourceContract("Etherscan", () => stand("eth", "etherscan", { lacks: ["balances"], troubles: etherscanTroubles }));
sourceContract("Routescan", () => stand("avaxc", "routescan", { lacks: ["balances"], troubles: etherscanTroubles }));
sourceContract("Blockscout", () =>
  stand("base", "blockscout", {
    lacks: [],
    troubles: [
      ["a wallet that is not found", { answer: () => Response.json({ message: "Not found" }, { status: 404 }) }],
      ["short pages", { cap: 2 }],
      ["an amount that is none", spoiled("total", null)],
      ["a time that is none", spoiled("timestamp", "now")],
      ["a page that is no page", { answer: () => Response.json({ items: null }) }],
    ],
  }),
);
