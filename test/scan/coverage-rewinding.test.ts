// How far coverage is taken back where the chain was rewritten, and what counts as final for that.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Providers } from "../../src/chains/source.ts";
import { Fault } from "../../src/domain/errors.ts";
import { createWatching } from "../../src/services/watching.ts";
import { recordPoll, saveHeader } from "../../src/storage/chains.ts";
import { cover, coveredIntervals, watchesOf } from "../../src/storage/coverage.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { createRewinding } from "../../src/workers/scan/rewinding.ts";
import { testConfig } from "../support/server.ts";
import { type TempDatabase, tempDatabase } from "../support/temp-database.ts";

const block = (number: number, branch = "true") => ({ number, hash: `${branch} ${number}`, time: number });

let temp: TempDatabase;
beforeEach(() => {
  temp = tempDatabase();
});
afterEach(() => temp.close());

/** A chain that was read to 120, of which only what is up to 90 stands; 105 counted as final, without a header. */
async function misread(read_finally_to: number, operators: number) {
  const watching = createWatching(temp);
  await watching.sync(testConfig());
  const watches = temp.database.read((at) => watchesOf(at, "eth")).map(({ id }) => id);
  await watching.begin(watches, block(0));
  const source = {
    fetchEvidence: ({ heights }: { heights: readonly number[] }, excluded: readonly string[]) =>
      excluded.length === operators
        ? Promise.reject(new Fault("second_opinion_missing"))
        : Promise.resolve({
            provider: `node ${excluded.length}`,
            headers: new Map(heights.map((number) => [number, block(number)])),
          }),
    blocks: (numbers: readonly number[]) => Promise.resolve(numbers.map((number) => block(number))),
  } as unknown as Providers;
  await temp.database.transact((tx) => {
    for (const one of [block(90), block(104, "false"), block(120, "false")]) saveHeader(tx, "eth", one);
    const range = { from: 0, hash: null, time: null, provider: "a" };
    cover(tx, watches, "head", { ...range, to: 120 });
    cover(tx, watches, "final", { ...range, to: read_finally_to });
    recordPoll(tx, "eth", { head: block(120, "false"), final: { number: 105, hash: null, time: null } });
  });
  const telemetry = createTelemetry({ ...temp.world, warn: () => {} });
  const rewinding = createRewinding({ chain: "eth", source, database: temp.database, watching, telemetry });
  const end = { head: block(200), final: { number: 185, hash: null, time: null } };
  const topOf = (pass: "head" | "final" = "head") =>
    temp.database.read((at) => coveredIntervals(at, watches[0] ?? 0, pass)).at(-1)?.to;
  return { rewind: () => rewinding.rewind(block(120, "false"), end), topOf };
}

describe("blocks that only a count made final, below a head that was not there", () => {
  test("are taken back where they were not read as final", async () => {
    const { rewind, topOf } = await misread(80, 1);
    await rewind();
    expect(topOf()).toBe(90);
  });

  test("stall the chain where they were, and only one operator shows others", async () => {
    const { rewind } = await misread(105, 1);
    await expect(rewind()).rejects.toThrow("block 120 changed although 105 was final");
  });

  test("are taken back where two operators show others", async () => {
    const { rewind, topOf } = await misread(105, 2);
    await rewind();
    expect([topOf("head"), topOf("final")]).toEqual([90, 90]);
  });
});
