// How often the network may be asked something: per address without a signature, per address and name where the
// signature is wrong, per identity where it is right. The table runs on a clock in hand; the rest over real HTTP.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createNetworkLimits } from "../../src/opencharge/services/limits.ts";
import { realWorld } from "../../src/world.ts";
import { type Party, startParty } from "../support/opencharge/party.ts";
import { type Shop, shop_ocid, startShop } from "../support/opencharge/shop.ts";

const minute_ms = 60_000;
const [one, two] = ["198.51.100.1", "198.51.100.2"];

describe("the bounds", () => {
  let clock = 0;
  const limits = () => createNetworkLimits({ world: { ...realWorld(), elapsed: () => clock } });
  beforeEach(() => {
    clock = 1000;
  });
  /** Asks until it is refused. */
  function room(ask: () => { refused: string } | null): number {
    for (let count = 0; count < 10_000; count++) if (ask() !== null) return count;
    return Number.POSITIVE_INFINITY;
  }

  test("are twenty a second without a signature, each address for itself, and end after a minute", () => {
    const { open } = limits();
    expect(room(() => open(one))).toBe(1200);
    clock += 20_500;
    expect(open(one)).toMatchObject({ refused: "RATE_LIMITED", status: 429, retry_after_s: 40 });
    expect(open(two)).toBeNull();
    clock += minute_ms - 20_500 - 1;
    expect(open(one)).toMatchObject({ retry_after_s: 1 });
    clock += 1;
    expect(room(() => open(one))).toBe(1200);
  });

  test("hold for a whole network of IPv6, and for an IPv4 address in the dress of one alone", () => {
    const { open } = limits();
    expect(room(() => open("2001:db8:1:2::1"))).toBe(1200);
    expect(open("2001:db8:1:2:ffff::7")).not.toBeNull();
    expect(open("2001:db8:1:3::1")).toBeNull();
    expect(room(() => open(`::ffff:${one}`))).toBe(1200);
    expect(open(`::ffff:${two}`)).toBeNull();
  });

  test("are sixty forgeries in one name, and six hundred in all, of one address", () => {
    const { present, refused } = limits();
    const forge = (address: string, ocid: number) => {
      const stopped = present(address, ocid);
      if (stopped === null) refused(address, ocid);
      return stopped;
    };
    expect(room(() => forge(one, 200))).toBe(60);
    expect(forge(one, 201)).toBeNull();
    expect(present(two, 200)).toBeNull();
    let name = 300;
    expect(room(() => forge(one, ++name))).toBe(600 - 61);
    expect(present(one, 9999)).toMatchObject({ refused: "RATE_LIMITED", retry_after_s: 60 });
    expect(present(two, 9999)).toBeNull();
    clock += minute_ms;
    expect(present(one, 200)).toBeNull();
  });

  test("count headers nobody can read against the address", () => {
    const { present, refused } = limits();
    for (let count = 0; count < 600; count++) refused(one, null);
    expect([present(one, 200)?.refused, present(two, 200)]).toEqual(["RATE_LIMITED", null]);
  });

  test("are twenty a second of one identity, from wherever it calls, and nobody else uses them up", () => {
    const { believed, present, refused } = limits();
    for (let count = 0; count < 5000; count++) refused(one, 200);
    expect(room(() => believed(200))).toBe(1200);
    expect(present(two, 200)).toMatchObject({ refused: "RATE_LIMITED", retry_after_s: 60 });
    expect(present(two, 201)).toBeNull();
  });

  test("are two a second of what one identity may create", () => {
    const { believed, created } = limits();
    expect(room(() => created(200, 1000))).toBe(120);
    expect(created(200, 1)).toMatchObject({ refused: "RATE_LIMITED", status: 429, retry_after_s: 60 });
    expect([created(201, 1), believed(200)]).toEqual([null, null]);
    clock += minute_ms;
    expect(room(() => created(200, 0))).toBe(120);
  });

  test("are two mebibytes a minute of that", () => {
    const kib = 1024;
    const lengths = [16 * kib, 16 * kib + 1, 64 * kib, 256 * kib];
    const { created } = limits();
    expect(lengths.map((bytes) => room(() => created(bytes, bytes)))).toEqual([120, 60, 30, 8]);
  });

  test("are sixteen mebibytes a day of the proofs of one issuer, long ones sooner", () => {
    const kib = 1024;
    const { proofKept, ...asked } = limits();
    const proofRoom = (issuer: number) => asked.proofRoom(issuer, () => ({ bytes: 0, oldest: null }));
    const keep = (length: number) => {
      const full = proofRoom(length);
      if (full === null) proofKept(length, length * kib);
      return full;
    };
    expect([64, 256].map((length) => room(() => keep(length)))).toEqual([256, 64]);
    clock += 60 * minute_ms;
    expect(proofRoom(64)).toMatchObject({ refused: "RATE_LIMITED", status: 429, retry_after_s: 23 * 3600 });
    expect(proofRoom(65)).toBeNull();
    clock += 23 * 60 * minute_ms;
    expect(proofRoom(64)).toBeNull();
  });

  test("hold over a restart: what the database says is kept counts, once, from when it was received", () => {
    const hour_ms = 60 * minute_ms;
    const now = Date.now();
    const { proofKept, proofRoom } = createNetworkLimits({
      world: { ...realWorld(), now: () => now + clock, elapsed: () => clock },
    });
    const asked: number[] = [];
    const kept = (bytes: number) => (since: number) => {
      asked.push(since + 24 * hour_ms - now - clock);
      return { bytes, oldest: since + hour_ms };
    };
    const half = 8 * 1024 * 1024;
    expect(proofRoom(1, kept(2 * half))).toMatchObject({ refused: "RATE_LIMITED", retry_after_s: 3600 });
    expect(proofRoom(2, kept(half))).toBeNull();
    proofKept(2, half);
    expect(proofRoom(2, kept(half))).toMatchObject({ retry_after_s: 3600 });
    clock += hour_ms;
    expect([proofRoom(1, kept(2 * half)), proofRoom(2, kept(half))]).toEqual([null, null]);
    expect(asked).toEqual([0, 0]);
  });

  test("are forgotten oldest first, so that what is remembered stays small", () => {
    const { open } = limits();
    expect(room(() => open(one))).toBe(1200);
    const v4 = (n: number) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
    for (let n = 0; n < 9_999; n++) open(v4(n));
    expect(open(one)).not.toBeNull();
    open(v4(9_999));
    expect(open(one)).toBeNull();
  });
});

describe("over HTTP", () => {
  let shop: Shop;
  let app: Party;
  let wallet: Party;
  beforeEach(async () => {
    let clock = () => Date.now();
    const now = () => clock();
    app = startParty({ ocid: 200, role: "payment_app", now });
    wallet = startParty({ ocid: 201, role: "payment_app", now });
    const pinned = [app, wallet].map(({ ocid, metadata_url }) => {
      return { ocid, metadata_url, public_key: null, endpoint: null };
    });
    shop = await startShop({ settings: { pinned, gateway_ocid: 501 }, trusted_proxies: ["127.0.0.1"] });
    clock = shop.now;
  });
  afterEach(async () => {
    for (const party of [app, wallet]) party.stop();
    await shop.stop();
  });

  const get = (path: string, from: string) =>
    fetch(shop.endpoint + path, { headers: { "x-forwarded-for": `203.0.113.9, ${from}` } });
  const call = (party: Party, from: string, more: Parameters<Party["call"]>[4] = {}) =>
    party.call(shop.endpoint, "GET", "/capabilities", null, { ...more, headers: { "x-forwarded-for": from } });

  test("whoever reads too often is told when to come back, and its neighbour behind the same proxy is served", async () => {
    for (let count = 0; count < 1200; count++) shop.limits.open(one);
    for (const path of ["/metadata.json", "/orders/a", "/orders/a/status", "/inventory", "/verify/a", "/nothing"]) {
      const answer = await get(path, one);
      expect([path, answer.status, Number(answer.headers.get("retry-after")) > 50]).toEqual([path, 429, true]);
      expect(await answer.json()).toEqual({ error: { code: "RATE_LIMITED", message: "too many requests" } });
      expect((await get(path, two)).status).not.toBe(429);
    }
    shop.advance(minute_ms);
    expect((await get("/metadata.json", one)).status).toBe(200);
  });

  test("a payer is told on a page, which asks again by itself", async () => {
    for (let count = 0; count < 1200; count++) shop.limits.open(one);
    const answer = await get("/pay/abc", one);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([429, "text/html; charset=utf-8"]);
    expect(await answer.text()).toMatch(/http-equiv="refresh" content="(60|59|58)"/);
    expect((await get("/pay/abc", two)).status).toBe(404);
  });

  test("forgeries stop the address they come from, in the name they use, and not whom they name", async () => {
    const forged = { secret: "22".repeat(32) };
    expect((await call(app, two)).status).toBe(200);
    for (let count = 0; count < 60; count++) {
      expect((await call(app, one, forged)).status).toBe(401);
    }
    const late = await call(app, one, forged);
    expect([late.status, late.signed, Number(late.headers.get("retry-after")) > 50]).toEqual([429, "absent", true]);
    expect((await call(app, one)).status).toBe(429);
    expect([(await call(app, two)).status, (await call(wallet, one)).status]).toEqual([200, 200]);
    shop.advance(minute_ms);
    expect((await call(app, one)).status).toBe(200);
  });

  test("an identity that signs too much is stopped before its signature is looked at, and keeps its nonce", async () => {
    for (let count = 0; count < 1200; count++) shop.limits.believed(app.ocid);
    const late = await call(app, one);
    expect([late.status, late.json]).toMatchObject([429, { error: { code: "RATE_LIMITED" } }]);
    expect((await call(wallet, one)).status).toBe(200);
    shop.advance(minute_ms);
    expect((await app.replay(late.sent)).status).toBe(200);
  });

  const creating = ["/orders/create", "/checkout/create", "/orders/checkout", "/payment/create", "/transfer/webhook"];
  test.each(creating)(
    "%s leaves nothing more of an identity that has created enough, until the minute is over",
    async (path) => {
      const create = (party: Party) => party.call(shop.endpoint, "POST", path, {});
      for (let count = 0; count < 119; count++) shop.limits.created(app.ocid, 1);
      expect((await create(app)).status).toBe(400);
      const late = await create(app);
      expect([late.status, late.json]).toMatchObject([429, { error: { code: "RATE_LIMITED" } }]);
      expect(Number(late.headers.get("retry-after"))).toBeGreaterThan(50);
      // What it asked for before it can still bring to an end, and others can still begin.
      expect((await app.call(shop.endpoint, "POST", "/payment/settle", {})).status).toBe(400);
      expect([(await call(app, one)).status, (await create(wallet)).status]).toEqual([200, 400]);
      shop.advance(minute_ms);
      expect((await create(app)).status).toBe(400);
    },
  );

  test("the same order again counts as well, because each time it is found again", async () => {
    const items = [{ id: "item_001", name: "Large Coffee", quantity: 1, price: "5.00" }];
    const body = { id: "ord_1", ocid: shop_ocid, currency: "USD", items };
    const answers = new Map<number, number>();
    for (let count = 0; count < 125; count++) {
      const { status } = await app.call(shop.endpoint, "POST", "/orders/create", body);
      answers.set(status, (answers.get(status) ?? 0) + 1);
    }
    expect([...answers]).toEqual([
      [200, 120],
      [429, 5],
    ]);
  });

  test("long orders count for more", async () => {
    const long = () => app.call(shop.endpoint, "POST", "/orders/create", { padding: "x".repeat(200 * 1024) });
    const statuses = [];
    for (let count = 0; count < 12; count++) statuses.push((await long()).status);
    expect(statuses).toEqual([...Array(10).fill(400), 429, 429]);
  });

  test("bodies that are too long count like forgeries", async () => {
    const headers = { "x-forwarded-for": one };
    const long = (from = app) =>
      from.call(shop.endpoint, "POST", "/orders/create", { padding: "x".repeat(300_000) }, { headers });
    for (let count = 0; count < 60; count++) expect((await long()).status).toBe(400);
    expect([(await long()).status, (await call(app, two)).status]).toEqual([429, 200]);
  });

  test("a stopped address does not get its body read", async () => {
    for (let count = 0; count < 600; count++) shop.limits.refused(one, null);
    const headers = { "x-forwarded-for": one };
    const body = { ocid: shop_ocid, padding: "x".repeat(300_000) };
    const answer = await app.call(shop.endpoint, "POST", "/orders/create", body, { headers });
    expect(answer.status).toBe(429);
  });
});
