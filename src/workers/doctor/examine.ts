// Everything that is looked at when an operator asks what is wrong, side by side, in the order it is read.

import type { Config } from "../../config/config.ts";
import { createOutbound } from "../../outbound.ts";
import type { World } from "../../world.ts";
import { examineChain } from "./chain.ts";
import type { Check } from "./check.ts";
import { examineClock, examineConfig, examineStorage } from "./machine.ts";
import { examinePublicUrl, examineWebhooks } from "./reach.ts";

/** All checks of an appliance with these settings; works beside a running server and without one. Writes nothing. */
export async function runDoctor({ world, config }: { world: World; config: Config }): Promise<Check[]> {
  const outbound = createOutbound({ world });
  const needs = { config, outbound, world };
  const reached = Promise.all([
    examinePublicUrl(needs),
    Promise.all([...config.chains.values()].map((settings) => examineChain({ ...needs, settings }))),
  ]);
  const storage = await examineStorage(world, config);
  const webhooks = await examineWebhooks(needs, storage.webhook_origins);
  const [public_url, chains] = await reached;
  return [
    await examineConfig(world, config),
    ...storage.checks,
    await examineClock(
      world,
      chains.flatMap((chain) => chain.skews_ms),
    ),
    ...public_url,
    ...webhooks,
    ...chains.flatMap((chain) => chain.checks),
  ];
}
