// Another process on the same database: cancels each order it is told of, at once, and says how that went. Run as
// `bun rival.ts DATABASE`, order ids on stdin, one outcome per line on stdout.

import { errorCode } from "../../src/domain/errors.ts";
import { openForCommand } from "../../src/storage/engine/open.ts";
import { recordTransition } from "../../src/storage/ledger.ts";
import { realWorld } from "../../src/world.ts";
import { silent } from "./temp-database.ts";

const [path = ""] = process.argv.slice(2);
const world = { ...realWorld(), now: () => Number(process.env.RIVAL_NOW) };
const { database, close } = openForCommand({ world, telemetry: silent, path });
console.log("ready");
for await (const order_id of console) {
  const outcome = await database
    .transact((tx) => {
      recordTransition(tx, order_id, "cancel");
    })
    .then(() => "done", errorCode);
  console.log(outcome);
}
await close();
