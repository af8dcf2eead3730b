// The database of a running shop is put back to an older copy. Nothing that the shop was told is taken back or told under
// an old number, and what was paid in between is found on the chain.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createOcrch, type OcrchEvent } from "../../src/sdk/index.ts";
import { createEventLog } from "../../src/services/event-log.ts";
import { lastEventPath } from "../../src/storage/generations.ts";
import { realWorld } from "../../src/world.ts";
import { payer, type Stage, setStage, wallet } from "../demo/stage.ts";
import { type Appliance, fromSource, startAppliance } from "../support/appliance.ts";
import { second_wallet, startStory, stranger, usd } from "../support/chain-story.ts";
import { createShop, type Received } from "../support/merchant.ts";
import { silent } from "../support/temp-database.ts";

const patience_ms = 120_000;
const story_timeout_ms = 300_000;

let stage: Stage;
let server: Appliance;
let servers: Appliance[] = [];
let database: string;
beforeAll(async () => {
  stage = await setStage({ finality: "2" });
});
afterEach(async () => {
  for (const one of servers) await one.stop("SIGKILL");
  servers = [];
});
afterAll(() => stage.clear());

let stories = 0;
/** A database of its own for each story. */
function newDatabase(): void {
  stories += 1;
  database = join(stage.folder.path, `shop-${stories}.db`);
}

async function start(): Promise<void> {
  server = await startAppliance({ folder: stage.folder, env: { OCRCH_DATABASE: database } });
  servers.push(server);
}

/** As the manual says to back it up. */
function backUp(): string {
  const copy = `${database}.backup`;
  const raw = new Sqlite(database, { readonly: true });
  raw.query("VACUUM INTO ?").run(copy);
  raw.close();
  return copy;
}

function restore(copy: string): void {
  for (const end of ["-wal", "-shm"]) rmSync(database + end, { force: true });
  copyFileSync(copy, database);
}

const shop = () => createShop(server.url);
const shopBackend = () => createOcrch({ url: server.url, secret: stage.merchant.secret });

async function order(reference: string, amount: string): Promise<string> {
  const webhook_url = `${stage.merchant.webhook_url}/${reference}`;
  const { order_id } = await shop().createOrder({ order_id: reference, amount, webhook_url });
  await shop().selectPayment(order_id, "eth", "USDT");
  return order_id;
}

async function pay(coins: number): Promise<void> {
  await stage.coins.USDT.transfer(payer, wallet, BigInt(coins) * 1_000_000n);
  await stage.anvil.rpc("anvil_mine", ["0x4"]);
}

const toldPaid = (order_id: string, not: Received[] = []) =>
  stage.merchant.awaitWebhook(
    (one) => one.body.order_id === order_id && one.body.status === "paid" && !not.includes(one),
    patience_ms,
  );

/** The whole event log as the shop's backend reads it. */
async function wholeLog(after = 0): Promise<OcrchEvent[]> {
  const events: OcrchEvent[] = [];
  const end = new AbortController();
  for await (const event of shopBackend().events({ after, wait: 0, limit: 7, signal: end.signal })) {
    events.push(event);
    if (event.n === lastNumber()) end.abort();
  }
  return events;
}

function lastNumber(): number {
  const raw = new Sqlite(database, { readonly: true });
  try {
    return raw.query<{ n: number }, []>("SELECT max(n) AS n FROM events").get()?.n ?? 0;
  } finally {
    raw.close();
  }
}

/** Event numbers that stand for different events in the two logs. */
function reused(before: readonly OcrchEvent[], after: readonly OcrchEvent[]): number[] {
  const known = new Map(before.map((event) => [event.n, JSON.stringify(event)]));
  return after
    .filter((event) => (known.get(event.n) ?? JSON.stringify(event)) !== JSON.stringify(event))
    .map(({ n }) => n);
}

/** Webhook ids under which different bodies came. */
function reusedIds(): string[] {
  const bodies = new Map<string, Set<string>>();
  for (const { id, body } of stage.merchant.received) {
    bodies.set(id, (bodies.get(id) ?? new Set()).add(JSON.stringify(body)));
  }
  return [...bodies].filter(([, different]) => different.size > 1).map(([id]) => id);
}

describe("a database that is restored from a copy", () => {
  for (const [how, signal] of [
    ["after a stop", "SIGTERM"],
    ["after a kill", "SIGKILL"],
  ] as const) {
    test(
      `${how} uses no event number and no webhook id again, and finds the payment of the gap`,
      async () => {
        newDatabase();
        stage.merchant.received.length = 0;
        await start();
        const early = await order(`early-${signal}`, "11");
        await pay(11);
        await toldPaid(early);
        const open = await order(`open-${signal}`, "12");

        const copy = backUp();
        await pay(12);
        const first = await toldPaid(open);
        const lost = await order(`lost-${signal}`, "13");
        await pay(13);
        const told_lost = await toldPaid(lost);
        const before = await wholeLog();
        // A kill may come up to a second before the number is written beside the database: the copy is older.
        await server.stop(signal);

        restore(copy);
        await start();
        expect(server.log.filter((line) => line.includes(" warn log_restored generation=2 "))).toHaveLength(1);
        const again = await toldPaid(open, [first]);
        expect((await shop().orderStatus(open)).status).toBe("paid");
        const numberOf = ({ id }: Received) => Number(id.replace("evt_", ""));
        expect(numberOf(again)).toBeGreaterThan(Math.max(numberOf(first), numberOf(told_lost)));
        const is13 = ({ body }: Received) => body.event_type === "unknown_transfer" && body.value === "13";
        await stage.merchant.awaitWebhook(is13, patience_ms);

        const late = await order(`late-${signal}`, "14");
        await pay(14);
        await toldPaid(late);
        const after = await wholeLog();
        expect(reused(before, after)).toEqual([]);
        expect(reusedIds()).toEqual([]);
        const begin = after.findIndex(({ type }) => type === "log_restored");
        expect(after[begin]?.data).toMatchObject({ generation: 2, last_in_copy: begin });
        const [head, tail] = [after.slice(0, begin), after.slice(begin)];
        expect(head.map(({ n }) => n)).toEqual(head.map((_, index) => index + 1));
        expect(tail.map(({ n }) => n - (tail[0]?.n ?? 0))).toEqual(tail.map((_, index) => index));

        // A shop that had read further than the copy reaches goes on with what is new, from the same cursor.
        const [next] = await wholeLog(before.at(-1)?.n);
        expect(next?.type).toBe("log_restored");
      },
      story_timeout_ms,
    );
  }

  test(
    "and marked paid by a command before it is started again tells that under a new id",
    async () => {
      newDatabase();
      stage.merchant.received.length = 0;
      await start();
      const order_id = await order("by-hand", "21");
      const copy = backUp();
      await order("gap-1", "22");
      await pay(22);
      await stage.merchant.awaitWebhook(({ body }) => body.merchant_order_id === "gap-1", patience_ms);
      const before = await wholeLog();
      await server.stop();

      restore(copy);
      const command = [...fromSource, "mark-paid", order_id, "-c", stage.folder.config, "--database", database];
      const beside = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
      expect(await beside.exited).toBe(0);
      await start();
      await toldPaid(order_id);
      expect(reused(before, await wholeLog())).toEqual([]);
      expect(reusedIds()).toEqual([]);
      const restores = (await wholeLog()).filter(({ type }) => type === "log_restored");
      expect(restores).toHaveLength(1);
    },
    story_timeout_ms,
  );

  test(
    "is not what a restart, a kill or an upgrade makes of it",
    async () => {
      newDatabase();
      await start();
      await order("one", "31");
      await server.stop("SIGKILL");
      await start();
      await order("two", "32");
      await server.stop();
      await start();
      await order("three", "33");
      const log = await wholeLog();
      expect(log.map(({ n }) => n)).toEqual(log.map((_, index) => index + 1));
      expect(server.log.filter((line) => line.includes("log_restored"))).toEqual([]);
    },
    story_timeout_ms,
  );
});

describe("a copy that does not know a wallet", () => {
  test(
    "is read from where it ends: money sent to that wallet in the gap is in the inbox",
    async () => {
      const story = await startStory();
      try {
        await story.poll();
        // From here on the copy knows nothing: the wallet is added, and an order that is lost is paid to it.
        await story.advance(600);
        await story.usdt.transfer(payer, second_wallet, usd(19.99));
        await story.mine();
        await story.advance(300);
        await story.advance(300);
        writeFileSync(lastEventPath(story.files.database), "0000000000001234\n");
        const of = { database: story.database, path: story.files.database, is_served: false };
        await createEventLog({ ...of, world: { ...realWorld(), now: story.now }, telemetry: silent }).resume();
        const now = story.config.current();
        const [known] = now.wallets;
        if (known === undefined) throw new Error("the story has no wallet");
        story.config.replace({ ...now, wallets: [known, { ...known, address: second_wallet }] });
        await story.watching.sync(story.config.current());
        await story.poll();
        await story.mine(3);
        await story.poll();
        expect(story.transfers().map(({ wallet, amount }) => [wallet, amount])).toEqual([[second_wallet, "19.99"]]);

        // A wallet that is added once the chain was read again begins then.
        await story.usdt.transfer(payer, stranger, usd(7));
        await story.mine();
        await story.advance(300);
        await story.advance(300);
        story.config.replace({ ...now, wallets: [known, { ...known, address: stranger }] });
        await story.watching.sync(story.config.current());
        await story.poll();
        expect(story.transfers()).toHaveLength(1);
      } finally {
        await story.stop();
      }
    },
    story_timeout_ms,
  );
});

describe("a copy that is older than the late window", () => {
  test(
    "expires no order before the chain was read: the payment of the gap pays it",
    async () => {
      const story = await startStory({ lifetime: "60m", late_window: "24h" });
      try {
        const { id } = await story.order("19.99");
        await story.poll();
        await story.select(id);
        // Nothing is read from here on: the copy knows no more.
        await story.usdt.transfer(payer, wallet, usd(19.99));
        await story.mine();
        await story.advance(30 * 3600);
        await story.mine(3);
        writeFileSync(lastEventPath(story.files.database), "0000000000001234\n");
        const of = { database: story.database, path: story.files.database, is_served: false };
        const world = { ...realWorld(), now: story.now };
        await createEventLog({ ...of, world, telemetry: silent }).resume();

        expect(await story.expiry.expireDue()).toBe(0);
        for (let poll = 0; poll < 3; poll++) await story.poll();
        expect(story.status(id)).toBe("paid");
        const paid = story.events("order_status_changed").at(-1);
        expect(paid?.n).toBeGreaterThan(1234);
        expect(story.transfers()[0]?.id).toBeGreaterThan(1234);
      } finally {
        await story.stop();
      }
    },
    story_timeout_ms,
  );

  test(
    "expires its orders once their late window has passed after the restore",
    async () => {
      const story = await startStory({ lifetime: "60m", late_window: "24h" });
      try {
        const { id } = await story.order("19.99");
        await story.poll();
        await story.select(id);
        story.wait(30 * 3600);
        writeFileSync(lastEventPath(story.files.database), "0000000000001234\n");
        const of = { database: story.database, path: story.files.database, is_served: false };
        const world = { ...realWorld(), now: story.now };
        await createEventLog({ ...of, world, telemetry: silent }).resume();
        story.wait(23 * 3600);
        expect(await story.expiry.expireDue()).toBe(0);
        story.wait(2 * 3600);
        expect(await story.expiry.expireDue()).toBe(1);
        expect(story.status(id)).toBe("expired");
      } finally {
        await story.stop();
      }
    },
    story_timeout_ms,
  );
});
