// One row per type of event: what the outbox, the API description and the SDK make of it.

import { describe, expect, test } from "bun:test";
import type { z } from "zod";
import { type EventType, eventTypes, logRestoredBody } from "../../src/domain/events.ts";
import { type OcrchEvent, verifyWebhook, type WebhookError } from "../../src/sdk/index.ts";
import { insertOrder } from "../../src/storage/orders.ts";
import { appendEvent } from "../../src/storage/outbox.ts";
import type { payloads } from "../../src/wire/events.ts";
import { signBody } from "../../src/wire/signature.ts";
import { isPayloadOf } from "../support/event-payloads.ts";
import { startTestServer } from "../support/server.ts";
import { tempDatabase } from "../support/temp-database.ts";

const types = Object.keys(eventTypes) as EventType[];
const order_id = "550e8400-e29b-41d4-a716-446655440000";
const url = "https://shop.example/hook";
const pushed: EventType[] = ["order_status_changed", "unknown_transfer", "payment_reverted"];

/** What the row of a type says its events carry. */
type Described<Type extends EventType> = z.output<(typeof payloads)[(typeof eventTypes)[Type]["payload"]]>;
/** What the SDK says of the same. */
type Typed<Type extends EventType, Event = OcrchEvent> = Event extends { type: infer Types; data: infer Data }
  ? Type extends Types
    ? Data
    : never
  : never;
/** A field that may be absent, for the compiler like one that is there. */
type Whole<Shape> = { [Field in keyof Shape]-?: Exclude<Shape[Field], undefined> };
type Same<A, B> = [A, B] extends [B, A] ? true : false;
type Agrees<Type extends EventType> = [Described<Type>] extends [Record<string, never>]
  ? true
  : Same<Whole<Described<Type>>, Whole<Typed<Type>>>;

/** The types of which the SDK says something else; never: none. */
type Disagreeing = { [Type in EventType]: Agrees<Type> extends true ? never : Type }[EventType];

describe("a type of event", () => {
  test("is known to the SDK with the payload of its row", () => {
    const disagreeing: [Disagreeing] extends [never] ? "none" : Disagreeing = "none";
    const is_typed: Same<OcrchEvent["type"], EventType> = true;
    expect([disagreeing, is_typed]).toEqual(["none", true]);
  });

  test("makes a webhook where its row says so, and no other does", async () => {
    expect(types.filter((type) => eventTypes[type].webhook !== null)).toEqual(pushed);
    const temp = tempDatabase();
    await temp.database.transact((tx) => {
      const order = {
        id: order_id,
        merchant_order_id: "r",
        amount: "1.00",
        webhook_url: url,
        expires_at: tx.now + 1000,
      };
      insertOrder(tx, { ...order, chain: null, coin: null, sender: null });
      for (const type of types) appendEvent(tx, { type, order_id, transfer: null, body: "{}", url });
    });
    const told = temp.database.read((at) =>
      at.live().all<{ type: string }>("SELECT e.type FROM deliveries d JOIN events e ON e.n = d.event ORDER BY e.n"),
    );
    expect(told.map(({ type }) => type)).toEqual(pushed);
    await temp.close();
  });

  test("is described as a webhook, and believed by the SDK, where it makes one", async () => {
    const server = await startTestServer();
    const { webhooks } = JSON.parse((await server.request("GET", "/openapi.json")).body);
    expect(Object.keys(webhooks)).toEqual(pushed);
    await server.stop();
    const secret = "test-merchant-secret";
    for (const event_type of types) {
      const body = JSON.stringify({ event_type });
      const headers = { "Ocrch-Signature": signBody(secret, body, Date.now(), true) };
      const said = await verifyWebhook({ secret, body, headers }).catch((error: WebhookError) => error.problem);
      const expected = pushed.includes(event_type) ? { event_type, webhook_id: null } : "unknown_event";
      expect([event_type, said]).toEqual([event_type, expected as typeof said]);
    }
  });

  test("has a payload that refuses what is missing, unknown or wrong", () => {
    const seen = { txn_hash: "0x1", block_number: 1, value: "1.50" };
    expect(isPayloadOf("transfer_seen", JSON.stringify(seen))).toBe(true);
    for (const wrong of [{}, { ...seen, more: 1 }, { ...seen, value: 1.5 }, { ...seen, block_number: "1" }]) {
      expect(isPayloadOf("transfer_seen", JSON.stringify(wrong))).toBe(false);
    }
    const restored = { generation: 2, last_in_copy: 7, last_given_out: null };
    expect(isPayloadOf("log_restored", logRestoredBody(restored, 0))).toBe(true);
    expect(isPayloadOf("order_created", "{}")).toBe(true);
    expect(isPayloadOf("order_created", '{"more":1}')).toBe(false);
  });
});
