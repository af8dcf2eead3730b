// The pace of a chain: measured over 1,000 blocks, kept, shown, an alarm outside the band that is stated; the faster of
// the usual and the measured pace sets the depths.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { type ChainId, chainFacts } from "../../src/domain/assets.ts";
import { Fault } from "../../src/domain/errors.ts";
import type { BlockRef, Finality } from "../../src/domain/finality.ts";
import { createWatching } from "../../src/services/watching.ts";
import { chainRow, secondsPerBlock } from "../../src/storage/chains.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { runDoctor } from "../../src/workers/doctor/examine.ts";
import { createPaceWatch } from "../../src/workers/scan/pace-watch.ts";
import { testConfig } from "../support/server.ts";
import { type TempDatabase, tempDatabase } from "../support/temp-database.ts";
import { startTill } from "../support/till.ts";

const wallet = "0x52908400098527886E0F7030069857D2E4169EE7";
const hour_ms = 3_600_000;

let temp: TempDatabase;
let elapsed_ms: number;
let log: string[];
beforeEach(() => {
  temp = tempDatabase();
  elapsed_ms = 0;
  log = [];
});
afterEach(() => temp.close());

const block = (number: number, time: number): BlockRef => ({ number, hash: `0x${number}`, time });

async function watch(chain: ChainId, block_s: () => number | null, chain_id = chainFacts[chain].chain_id) {
  const world = { ...temp.world, elapsed: () => elapsed_ms, warn: (line: string) => void log.push(line) };
  const config = testConfig({ wallets: [{ chain, address: wallet, coins: ["USDC"], starting_tx: null }] as never });
  const settings = { ...(config.chains.get(chain) as NonNullable<ReturnType<typeof config.chains.get>>), chain_id };
  const watching = createWatching(temp);
  await watching.sync(config);
  const head = block(5000, 100_000);
  let asked = 0;
  const source = {
    async blocks([number = 0]: readonly number[]) {
      asked += 1;
      const pace = block_s();
      if (pace === null) throw new Fault("provider_archive_only");
      return [block(number, Math.round(head.time - (head.number - number) * pace))];
    },
  };
  const create = () =>
    createPaceWatch({ chain, source, watching, database: temp.database, telemetry: createTelemetry(world), world });
  const made = create();
  return { ...made, create, settings, look: () => made.look(head, settings), asked: () => asked, made };
}

const alarms = () => log.filter((line) => line.includes(" error chain_pace_changed "));
const rowOf = (chain: ChainId) => temp.database.read((at) => chainRow(at, chain));

test("is measured over 1,000 blocks, so that blocks of one timestamp count, and kept over a restart", async () => {
  const base = await watch("base", () => 0.2);
  await base.look();
  expect(rowOf("base")?.ms_per_block).toBe(200);
  expect(temp.database.read((at) => secondsPerBlock(at, "base"))).toEqual({ least: 0.2, most: 0.2 });
  expect(alarms()).toEqual([]);
  // Ten minutes later again, not sooner.
  await base.look();
  expect(base.asked()).toBe(1);
  elapsed_ms += 600_000;
  await base.look();
  expect(base.asked()).toBe(2);
});

test("outside the band is an alarm, once an hour, and the stricter depths hold from then on", async () => {
  let pace = 2;
  const op = await watch("op", () => pace);
  await op.look();
  expect(op.paced(op.settings).facts).toMatchObject({ overlap: 15, tagless_depth: 300 });
  pace = 0.2;
  elapsed_ms += hour_ms;
  await op.look();
  expect(alarms()).toHaveLength(1);
  expect(alarms()[0]).toContain("chain=op seconds_per_block=0.2 expected=");
  expect(op.paced(op.settings).facts).toMatchObject({ overlap: 150, tagless_depth: 3000, block_s: 0.2 });
  expect(op.create().paced(op.settings).facts).toMatchObject({ overlap: 150 });
  expect(temp.database.read((at) => secondsPerBlock(at, "op"))).toEqual({ least: 0.2, most: 2 });
  elapsed_ms += 600_000;
  await op.look();
  expect(alarms()).toHaveLength(1);
  elapsed_ms += hour_ms;
  await op.look();
  expect(alarms()).toHaveLength(2);
});

test("a chain that became slower is an alarm, too, and keeps the depths of its usual pace", async () => {
  const base = await watch("base", () => 2);
  await base.look();
  expect(alarms()).toHaveLength(1);
  expect(base.paced(base.settings)).toBe(base.settings);
});

test("a pace that only a false header explains is an alarm and changes no depth", async () => {
  let pace = 12;
  const eth = await watch("eth", () => pace);
  await eth.look();
  for (const false_pace of [300, 0.001]) {
    pace = false_pace;
    elapsed_ms += hour_ms;
    await eth.look();
  }
  expect(alarms()).toHaveLength(2);
  expect(temp.database.read((at) => secondsPerBlock(at, "eth"))).toEqual({ least: 12, most: 12 });
  expect(eth.paced(eth.settings).facts).toMatchObject({ overlap: 14, tagless_depth: 96 });
});

test("a chain with an id of the merchant's own is measured and never an alarm", async () => {
  const own = await watch("eth", () => 1, 31337);
  await own.look();
  expect(rowOf("eth")?.ms_per_block).toBe(1000);
  expect(alarms()).toEqual([]);
});

test("a young chain, and a provider without the older header, are asked again a minute later", async () => {
  let pace: number | null = null;
  const eth = await watch("eth", () => pace);
  await eth.look();
  await eth.look();
  expect(eth.asked()).toBe(1);
  elapsed_ms += 60_000;
  await eth.made.look(block(999, 100_000), eth.settings);
  expect(rowOf("eth")?.ms_per_block).toBeNull();
  pace = 12;
  elapsed_ms += 60_000;
  await eth.look();
  expect(rowOf("eth")?.ms_per_block).toBe(12_000);
});

test("doctor warns of a policy of blocks alone that is over in a few seconds, and of no other", async () => {
  const finding = async (chain: ChainId, finality: Finality, chain_id = chainFacts[chain].chain_id) => {
    const config = testConfig({ wallets: [{ chain, address: wallet, coins: ["USDC"], starting_tx: null }] as never });
    const settings = config.chains.get(chain);
    if (settings === undefined) throw new Error("the chain has a wallet");
    const changed = { ...settings, chain_id, finality: [{ up_to: null, finality }] };
    const checks = await runDoctor({ world: temp.world, config: { ...config, chains: new Map([[chain, changed]]) } });
    return checks.filter(({ check }) => check === "finality").map(({ verdict, words }) => [verdict, words]);
  };
  expect(await finding("base", { blocks: 10 })).toEqual([
    ["warn", '10 blocks are 2 s on base; write "10+20s" (chains.base.finality)'],
  ]);
  expect(await finding("base", { blocks: 100 })).toEqual([]);
  expect(await finding("base", { blocks: 10, seconds: 20 })).toEqual([]);
  expect(await finding("base", { tag: "safe" })).toEqual([]);
  expect(await finding("op", { blocks: 10 })).toEqual([]);
  expect(await finding("base", { blocks: 10 }, 31337)).toEqual([]);
});

test("nothing is stated of the pace of a chain that has an id of the merchant's own", async () => {
  const till = await startTill();
  const stated = () => till.operator.status().chains.find(({ id }) => id === "eth")?.usual_pace;
  expect(stated()).toEqual(chainFacts.eth.seconds_per_block);
  const current = till.config.current();
  const eth = current.chains.get("eth");
  if (eth === undefined) throw new Error("eth is not configured");
  till.config.replace({ ...current, chains: new Map([...current.chains, ["eth", { ...eth, chain_id: 31_337 }]]) });
  expect(stated()).toBeNull();
  await till.stop();
});
