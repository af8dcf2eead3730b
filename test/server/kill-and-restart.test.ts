// slow
// The server is killed with SIGKILL at seeded points of a whole payment: before and after commits, between an answer and
// its record, in the middle of a page. Every restart must end in exactly one paid order and one verified webhook.

import { Database as Sqlite } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { payer, type Stage, setStage, wallet } from "../demo/stage.ts";
import { type Appliance, fromSource, startAppliance } from "../support/appliance.ts";
import { createShop, type Received, type Shop } from "../support/merchant.ts";

const kills = 20;
const seed = 20261121;
const crashing_source = join(import.meta.dir, "../support/serve-crashing.ts");
const patience_ms = 120_000;

/** Where a payment's server may die; `often` points are passed again and again, the others once. */
const points: { name: string; upTo: number }[] = [
  { name: "commit.before", upTo: 9 },
  { name: "commit.after", upTo: 9 },
  { name: "scan.read", upTo: 6 },
  { name: "delivery.sending", upTo: 1 },
  { name: "delivery.answered", upTo: 1 },
];

let stage: Stage;
let crashing: string[];
beforeAll(async () => {
  stage = await setStage({ finality: "2" });
  // Compiled once, because it is started for every kill.
  const compiled = { target: "bun", format: "esm", minify: true, bytecode: true } as const;
  const outfile = join(stage.folder.path, "serve-crashing");
  await Bun.build({ entrypoints: [crashing_source], compile: { outfile }, ...compiled });
  crashing = [outfile];
});
afterAll(() => stage.clear());

function seeded(): { name: string; nth: number }[] {
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return Array.from({ length: kills }, (_, index) => {
    const point = points[index % points.length] ?? { name: "commit.before", upTo: 1 };
    return { name: point.name, nth: 1 + random(point.upTo) };
  });
}

/** Keeps trying a request until a server answers it; starts the next server when the last one died. */
function keeper(start: () => Promise<Appliance>) {
  let running: Appliance | undefined;
  async function shop(): Promise<Shop> {
    if (running === undefined) {
      running = await start();
      const mine = running;
      void mine.exited.then(() => {
        if (running === mine) running = undefined;
      });
    }
    return createShop(running.url);
  }
  return {
    async insist<T>(act: (shop: Shop) => Promise<T>): Promise<T> {
      const deadline = performance.now() + patience_ms;
      for (;;) {
        try {
          return await act(await shop());
        } catch (error) {
          if (performance.now() > deadline) throw error;
          await Bun.sleep(20);
        }
      }
    },
    async stop() {
      await running?.stop("SIGTERM");
    },
  };
}

describe("a server killed during a payment", () => {
  for (const [index, { name, nth }] of seeded().entries()) {
    test(`${index + 1}: at ${name}, the ${nth}. time`, async () => {
      const database = join(stage.folder.path, `kill-${index}.db`);
      let died: number | string | undefined;
      const keep = keeper(async () => {
        const first = died === undefined;
        const env = { OCRCH_DATABASE: database, ...(first ? { OCRCH_TEST_CRASH: `${name}:${nth}` } : {}) };
        const one = await startAppliance({
          folder: stage.folder,
          command: first ? crashing : fromSource,
          env,
        }).catch((error: unknown) => {
          // It may die before it is ready: that is one of the points.
          if (first) died = "SIGKILL";
          throw error;
        });
        if (first) {
          void one.exited.then((status) => {
            died = status;
          });
        }
        return one;
      });

      const webhook_url = `${stage.merchant.webhook_url}/${index}`;
      const request = { order_id: `kill-${index}`, amount: `${index + 10}.00`, webhook_url };
      const timestamp = String(Math.floor(Date.now() / 1000));
      const order = await keep.insist((shop) => shop.createOrder(request, timestamp));
      const detail = await keep.insist((shop) => shop.selectPayment(order.order_id, "eth", "USDT"));
      expect(detail.amount).toBe(request.amount);
      await stage.coins.USDT.transfer(payer, wallet, BigInt(index + 10) * 1_000_000n);
      await stage.anvil.rpc("anvil_mine", ["0x4"]);
      const paid = await keep.insist(async (shop) => {
        const now = await shop.orderStatus(order.order_id);
        if (now.status !== "paid") throw new Error(now.status);
        return now;
      });
      expect(paid.status).toBe("paid");
      // Each server reads the payments of the tests before it as well; of those it tells the shop as money of nobody.
      const isOurs = ({ body }: Received) =>
        body.order_id === order.order_id && body.event_type === "order_status_changed";
      await stage.merchant.awaitWebhook(isOurs, patience_ms);

      // The point may lie after the payment: blocks go on until the server has died there.
      const deadline = performance.now() + patience_ms;
      while (died === undefined && performance.now() < deadline) {
        await stage.anvil.rpc("evm_mine");
        await Bun.sleep(50);
      }
      expect(died).toBe("SIGKILL");
      await keep.insist(async (shop) => {
        expect((await shop.orderStatus(order.order_id)).status).toBe("paid");
      });
      await keep.insist(async () => {
        if (!delivered(database)) throw new Error("the webhook is not recorded as delivered");
      });
      await keep.stop();

      expect(stage.merchant.received.filter((one) => !one.verified)).toEqual([]);
      const webhooks = stage.merchant.received.filter(isOurs);
      expect(webhooks.map((one) => one.body.status)).toEqual(webhooks.map(() => "paid"));
      expect(new Set(webhooks.map((one) => one.id)).size).toBe(1);
      expect(rows(database, "SELECT id FROM orders")).toHaveLength(1);
      expect(rows(database, "SELECT id FROM allocations WHERE reversed_at IS NULL")).toHaveLength(1);
      expect(rows(database, "SELECT n FROM events WHERE type = 'order_status_changed'")).toHaveLength(1);
      expect(rows(database, "PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
    }, 300_000);
  }
});

function delivered(database: string): boolean {
  const states = rows(database, "SELECT state FROM deliveries WHERE kind = 'order'");
  return states.length === 1 && states[0]?.state === "delivered";
}

function rows(database: string, sql: string): Record<string, unknown>[] {
  const raw = new Sqlite(database, { readonly: true });
  try {
    return raw.query<Record<string, unknown>, []>(sql).all();
  } finally {
    raw.close();
  }
}
