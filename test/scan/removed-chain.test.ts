// What happens to a chain that is taken out of the configuration: it is read while a transfer on it waits.

import { afterEach, expect, test } from "bun:test";
import { createWatching } from "../../src/services/watching.ts";
import { chainsToRead } from "../../src/workers/chain-workers.ts";
import { startTill, type Till } from "../support/till.ts";

let till: Till;
afterEach(async () => {
  till.audit();
  await till.stop();
});

test("a chain that was taken out of the configuration is read while a transfer on it waits", async () => {
  till = await startTill();
  const id = await till.arrive({ amount: "7.77" });
  const config = till.config.current();
  const wallets = config.wallets.filter(({ chain }) => chain !== "eth");
  const chains = new Map([...config.chains].filter(([chain]) => chain !== "eth"));
  await createWatching(till).sync({ ...config, wallets, chains });
  expect(chainsToRead(till.database)).toContain("eth");
  await till.confirm(id);
  expect(chainsToRead(till.database)).not.toContain("eth");
});
