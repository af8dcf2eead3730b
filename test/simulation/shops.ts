// Shops that receive webhooks: healthy, slow, failing, hanging. Written from the contract alone; they remember every
// delivery that reached them and judge its signatures at once.

import { createHmac } from "node:crypto";
import type { FetchInit } from "../../src/world.ts";
import type { Random } from "./random.ts";
import type { Timeline } from "./timeline.ts";
import { epoch_ms, type Outcome } from "./world.ts";

export type ShopMood = "healthy" | "slow" | "hanging" | "failing" | "flaky" | "refusing" | "redirecting";

/** One webhook id as a shop knows it. */
export interface Known {
  body: string;
  /** When it was first answered with 2xx, virtual ms. */
  accepted_at: number | null;
  attempts: number;
}

export interface Shop {
  host: string;
  address: string;
  mood: ShopMood;
  known: Map<string, Known>;
  handle(init: FetchInit): Outcome;
}

const latency_max_ms = 300;
const slow_max_ms = 7000;
const fresh_s = 300;

/** A shop that shares `secret` with the server. `fail` hears of what no shop may ever receive. */
export function createShop(needs: {
  host: string;
  address: string;
  secret: string;
  timeline: Timeline;
  random: Random;
  /** A request may have been signed by a clock that was wrong, or before the machine slept. */
  isStale(): boolean;
  fail(words: string): void;
  /** Hears of the mood of every answer. */
  count(kind: string): void;
}): Shop {
  const { host, secret, timeline, random, fail, count } = needs;
  const known = new Map<string, Known>();
  const mac = (key: string, message: string) => createHmac("sha256", key).update(message).digest("base64");

  /** Null for what is dated so wrongly that a shop takes nothing. */
  function receive(init: FetchInit): Known | null {
    const headers = new Headers(init.headers);
    const body = String(init.body);
    const id = headers.get("webhook-id") ?? "";
    const now_s = Math.floor((epoch_ms + timeline.now()) / 1000);
    const [stamp = "", ...rest] = (headers.get("ocrch-signature") ?? "").split(".");
    const standard_stamp = headers.get("webhook-timestamp") ?? "";
    if (rest.join(".") !== mac(secret, `${stamp}.${body}`)) fail(`${host} received a wrong Ocrch-Signature on ${id}`);
    if (headers.get("webhook-signature") !== `v1,${mac(secret, `${id}.${standard_stamp}.${body}`)}`) {
      fail(`${host} received a wrong webhook-signature on ${id}`);
    }
    const isFresh = Math.abs(now_s - Number(stamp)) <= fresh_s;
    if (!isFresh && needs.isStale()) return null;
    if (!isFresh) fail(`${host} received ${id} with an old timestamp`);
    const one = known.get(id) ?? { body, accepted_at: null, attempts: 0 };
    if (one.body !== body) fail(`${host} received two bodies under ${id}`);
    one.attempts += 1;
    known.set(id, one);
    return one;
  }

  const shop: Shop = {
    host,
    address: needs.address,
    mood: "healthy",
    known,
    handle(init) {
      const there_ms = random.between(1, latency_max_ms);
      const { mood } = shop;
      count(`shop ${mood}`);
      if (mood === "refusing") return { after_ms: there_ms, fails: "ECONNREFUSED" };
      const work_ms = mood === "slow" ? random.below(slow_max_ms) : 0;
      const status =
        mood === "failing" || (mood === "flaky" && random.chance(50)) ? 500 : mood === "redirecting" ? 302 : 200;
      // The request arrives whatever becomes of its sender.
      let taken: Known | null = null;
      timeline.at(there_ms, () => {
        taken = receive(init);
      });
      if (mood !== "hanging" && status === 200) {
        timeline.at(there_ms + work_ms, () => {
          if (taken !== null) taken.accepted_at ??= timeline.now();
        });
      }
      const after_ms = there_ms + work_ms + random.between(1, latency_max_ms);
      if (mood === "hanging") return { after_ms, hangs: true };
      return {
        after_ms,
        answer: () =>
          new Response("thank you", {
            status: taken === null ? 400 : status,
            headers: { location: "https://elsewhere.example/" },
          }),
      };
    },
  };
  return shop;
}
