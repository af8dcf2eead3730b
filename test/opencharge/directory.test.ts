// Who is behind an OCID: pins, a registry on a chain, metadata that is honest and metadata that is not, and how often
// anybody is asked. Metadata comes over real HTTP.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { OpenchargeSettings } from "../../src/opencharge/config/settings.ts";
import { isRefusal } from "../../src/opencharge/wire/errors.ts";
import { addressOf } from "../../src/opencharge/wire/keys.ts";
import type { Metadata } from "../../src/opencharge/wire/metadata.ts";
import { realWorld } from "../../src/world.ts";
import { startAnvil } from "../support/anvil.ts";
import { type MetadataMode, type Party, startParty } from "../support/opencharge/party.ts";
import { deployRegistry, type Registry, startRegistry } from "../support/opencharge/registry.ts";
import { type Shop, shop_ocid, startShop } from "../support/opencharge/shop.ts";

const minute_ms = 60_000;

let shop: Shop;
let guarded: Shop;
let party: Party;
let registry: Registry;

beforeAll(async () => {
  shop = await startShop({ world: { timer: (ms, act) => realWorld().timer(Math.min(ms, 300), act) } });
  guarded = await startShop({ allow_private_targets: false });
  party = startParty({ ocid: 200, role: "payment_app", now: () => shop.now() });
  party.knows(shop_ocid, shop.metadata_url);
  registry = startRegistry();
});
afterAll(async () => {
  await Promise.all([shop.stop(), guarded.stop()]);
  party.stop();
  registry.stop();
});
afterEach(() => {
  party.serveMetadataAs("honest");
  registry.reset();
});

const byUrl = (more: Partial<OpenchargeSettings> = {}) =>
  shop.reconfigure({
    pinned: [{ ocid: 200, metadata_url: party.metadata_url, public_key: null, endpoint: null }],
    ...more,
  });
const byRegistry = (one: Shop = shop, chain_id = 56) =>
  one.reconfigure({ registry: { rpc_url: registry.url, chain_id, address: `0x${"12".repeat(20)}` } });

/** The word for what a look-up found. */
async function found(ocid = 200, one: Shop = shop): Promise<string> {
  const answer = await one.directory.find(ocid);
  return isRefusal(answer) ? answer.refused : answer.public_key === party.publicKey ? "its key" : "another key";
}

describe("a pinned identity", () => {
  test("by its key needs nobody", async () => {
    const pinned = [{ ocid: 200, metadata_url: null, public_key: party.publicKey, endpoint: `${party.endpoint}/` }];
    shop.reconfigure({ pinned });
    const reads = party.metadata_reads;
    const metadata = (await shop.directory.find(200)) as Metadata;
    expect([metadata.public_key, metadata.endpoint]).toEqual([party.publicKey, party.endpoint]);
    expect(party.metadata_reads).toBe(reads);
  });

  test("whose key is no point of the curve cannot be used", async () => {
    const pinned = [{ ocid: 200, metadata_url: null, public_key: "ab".repeat(64), endpoint: null }];
    shop.reconfigure({ pinned });
    expect(await found()).toBe("METADATA_UNAVAILABLE");
  });

  const rows: [mode: MetadataMode, expected: string][] = [
    ["honest", "its key"],
    ["nested_only", "its key"],
    ["flat", "its key"],
    ["compressed_key", "its key"],
    ["keys_differ", "METADATA_UNAVAILABLE"],
    ["unsigned", "METADATA_UNAVAILABLE"],
    ["signed_by_another", "METADATA_UNAVAILABLE"],
    ["key_off_curve", "METADATA_UNAVAILABLE"],
    ["not_json", "METADATA_UNAVAILABLE"],
    ["too_large", "METADATA_UNAVAILABLE"],
    ["redirect", "METADATA_UNAVAILABLE"],
    ["unavailable", "METADATA_UNAVAILABLE"],
    ["hang", "METADATA_UNAVAILABLE"],
  ];
  test.each(rows)("whose metadata is %s: %s", async (mode, expected) => {
    party.serveMetadataAs(mode);
    byUrl();
    expect(await found()).toBe(expected);
  });

  test("without a signature is refused where the operator demands one", async () => {
    party.serveMetadataAs("flat");
    byUrl({ require_signed_config: true });
    expect(await found()).toBe("METADATA_UNAVAILABLE");
  });

  test("is found where its address is the base of its API", async () => {
    byUrl({ pinned: [{ ocid: 200, metadata_url: `${party.endpoint}/`, public_key: null, endpoint: null }] });
    expect(await found()).toBe("its key");
  });

  test("is nobody else", async () => {
    byUrl();
    expect(await found(201)).toBe("UNKNOWN_OCID");
  });
});

describe("we ourselves", () => {
  test("cost nobody a look-up, and a stranger does", () => {
    byRegistry();
    expect([shop.directory.isCheap(shop_ocid), shop.directory.isCheap(999)]).toEqual([true, false]);
  });

  test("are known without a look-up, with the key we sign with", async () => {
    byUrl();
    const own = (await shop.directory.find(shop_ocid)) as Metadata;
    const served = (await (await fetch(shop.metadata_url)).json()) as { publicKey: string };
    expect(own.public_key).toBe(served.publicKey);
  });

  test("are known under a key we replaced for as long as others are told of it", async () => {
    const rotated_at = Math.floor(shop.now() / 1000);
    shop.reconfigure({ previous: { secret_key: "22".repeat(32), rotated_at } });
    const announced = async () => {
      const own = (await shop.directory.find(shop_ocid)) as Metadata;
      const served = (await (await fetch(shop.metadata_url)).json()) as { previousKey?: string };
      expect(own.previous?.public_key).toBe(served.previousKey);
      return served.previousKey !== undefined;
    };
    expect(await announced()).toBe(true);
    shop.advance(4 * 24 * 60 * minute_ms - minute_ms);
    expect(await announced()).toBe(true);
    shop.advance(2 * minute_ms);
    expect(await announced()).toBe(false);
  });
});

describe("what was found is remembered", () => {
  test("for five minutes and not a moment longer, so that metadata taken offline ends it", async () => {
    byUrl();
    const reads = party.metadata_reads;
    expect([await found(), await found()]).toEqual(["its key", "its key"]);
    shop.advance(4.9 * minute_ms);
    expect(await found()).toBe("its key");
    expect(party.metadata_reads - reads).toBe(1);
    party.serveMetadataAs("unavailable");
    shop.advance(0.2 * minute_ms);
    expect(await found()).toBe("METADATA_UNAVAILABLE");
  });

  test("and what was not found for one minute", async () => {
    party.serveMetadataAs("unavailable");
    byUrl();
    expect(await found()).toBe("METADATA_UNAVAILABLE");
    party.serveMetadataAs("honest");
    expect(await found()).toBe("METADATA_UNAVAILABLE");
    shop.advance(minute_ms + 1000);
    expect(await found()).toBe("its key");
  });

  test("by all who ask at the same time", async () => {
    byUrl();
    const reads = party.metadata_reads;
    expect(new Set(await Promise.all(Array.from({ length: 20 }, () => found())))).toEqual(new Set(["its key"]));
    expect(party.metadata_reads - reads).toBe(1);
  });

  test("until the settings change", async () => {
    byUrl();
    await found();
    shop.reconfigure({ pinned: [] });
    expect(await found()).toBe("UNKNOWN_OCID");
  });

  test.each(["find", "refresh"] as const)("and not what was asked under other settings: %s", async (ask) => {
    const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const slow = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0, development: false },
      async fetch() {
        const said = Response.json(party.metadata());
        asked.resolve();
        await answer.promise;
        return said;
      },
    });
    const pinned = [{ ocid: 200, metadata_url: slow.url.href, public_key: null, endpoint: null }];
    shop.reconfigure({ pinned });
    const before = shop.directory[ask](200);
    await asked.promise;
    shop.reconfigure({ pinned });
    expect(shop.directory.isCheap(200)).toBe(true);
    party.rotateKey({ announced: false });
    answer.resolve();
    await before;
    expect(await found()).toBe("its key");
    await slow.stop(true);
  });

  test("unless it is read anew, once a minute; a failure then changes nothing", async () => {
    byUrl();
    await found();
    const reads = party.metadata_reads;
    party.rotateKey({ announced: false });
    expect(await found()).toBe("another key");
    expect((await shop.directory.refresh(200))?.public_key).toBe(party.publicKey);
    expect(await shop.directory.refresh(200)).toBeNull();
    expect(party.metadata_reads - reads).toBe(1);
    shop.advance(minute_ms + 1000);
    party.serveMetadataAs("unavailable");
    expect(await shop.directory.refresh(200)).toBeNull();
    expect(await found()).toBe("its key");
  });
});

describe("the registry", () => {
  const names = ["resolve(uint256)", "tokenURI(uint256)", "getMetadataUrl(uint256)"];
  test.each(names)("names an address as %s, in one request", async (name) => {
    registry.urls.set(200, party.metadata_url);
    registry.nameIt(name);
    byRegistry();
    const calls = registry.calls;
    expect(await found()).toBe("its key");
    expect(registry.calls - calls).toBe(1);
  });

  test("may hold the document itself", async () => {
    const text = JSON.stringify(party.metadata());
    registry.urls.set(200, `data:application/json,${encodeURIComponent(text)}`);
    registry.urls.set(201, `data:application/json;base64,${Buffer.from(text).toString("base64")}`);
    registry.urls.set(202, "data:text/html,<p>");
    byRegistry();
    expect([await found(200), await found(201), await found(202)]).toEqual([
      "its key",
      "its key",
      "METADATA_UNAVAILABLE",
    ]);
  });

  test("says whose an OCID is: the operator is told once where that is not who signs, and nothing else happens", async () => {
    const told = () => shop.log.filter((line) => line.includes("opencharge_owner_differs"));
    for (const ocid of [200, 201, 202]) registry.urls.set(ocid, party.metadata_url);
    registry.owners.set(200, addressOf(party.publicKey));
    registry.owners.set(201, `0x${"ab".repeat(20)}`);
    const before = told().length;
    byRegistry();
    expect([await found(200), await found(201), await found(202)]).toEqual(["its key", "its key", "its key"]);
    await shop.directory.refresh(201);
    expect(told().slice(before)).toEqual([expect.stringContaining(`ocid=201 owner=0x${"ab".repeat(20)}`)]);
  });

  test("is asked about three hundred OCIDs a minute for everybody", async () => {
    byRegistry();
    shop.advance(minute_ms);
    const calls = registry.calls;
    const words = [];
    for (let ocid = 1000; ocid < 1310; ocid++) words.push(await found(ocid));
    expect(words).toEqual([...Array(300).fill("UNKNOWN_OCID"), ...Array(10).fill("RATE_LIMITED")]);
    expect(registry.calls - calls).toBe(300);
    shop.advance(minute_ms);
    expect(await found(1309)).toBe("UNKNOWN_OCID");
  });

  test("that knows no such OCID makes it unknown", async () => {
    byRegistry();
    expect(await found()).toBe("UNKNOWN_OCID");
    registry.urls.set(201, "");
    expect(await found(201)).toBe("UNKNOWN_OCID");
  });

  test.each([
    { code: 3, message: "VM error" },
    { code: -32000, message: "execution reverted: OCID does not exist" },
  ])("that reverts knows no such OCID, however its node says so: %j", async (failure) => {
    registry.urls.set(200, party.metadata_url);
    registry.fail(failure);
    byRegistry();
    expect(await found()).toBe("UNKNOWN_OCID");
  });

  test("that refuses to answer, or is on another chain, says nothing about the OCID", async () => {
    registry.urls.set(200, party.metadata_url);
    byRegistry(shop, 1);
    expect(await found()).toBe("METADATA_UNAVAILABLE");
    registry.fail({ code: -32005, message: "limit exceeded" });
    byRegistry();
    expect(await found()).toBe("METADATA_UNAVAILABLE");
    shop.reconfigure({ registry: { rpc_url: "http://127.0.0.1:1", chain_id: 56, address: `0x${"12".repeat(20)}` } });
    expect(await found()).toBe("METADATA_UNAVAILABLE");
    expect(shop.log.join("\n")).not.toContain(registry.url);
  });

  const inside = [
    "http://127.0.0.1/metadata.json",
    "https://127.0.0.1/metadata.json",
    "https://localhost/metadata.json",
    "https://169.254.169.254/latest/meta-data",
    "https://[::1]/metadata.json",
    "https://10.0.0.1/metadata.json",
    "https://0x7f000001/metadata.json",
    "ftp://example.com/metadata.json",
    "file:///etc/passwd",
  ];
  test.each(inside)("leads nobody to %s", async (url) => {
    registry.urls.set(200, url);
    byRegistry(guarded);
    expect(await found(200, guarded)).toBe("METADATA_UNAVAILABLE");
    expect(guarded.log.at(-1)).toMatch(/opencharge_lookup_failed .*(is not a public address|it is not https)/);
  });

  test("never leads to the own network over plain http", async () => {
    registry.urls.set(200, party.metadata_url);
    byRegistry(guarded);
    const reads = party.metadata_reads;
    expect(await found(200, guarded)).toBe("METADATA_UNAVAILABLE");
    expect(party.metadata_reads).toBe(reads);
  });

  test("is asked about thirty strangers a minute for one address, not more", async () => {
    byRegistry();
    shop.advance(minute_ms + 1000);
    const calls = registry.calls;
    const ask = (ocid: number) => party.call(shop.endpoint, "GET", "/capabilities", null, { ocid });
    const statuses: number[] = [];
    for (let ocid = 1000; ocid < 1035; ocid++) statuses.push((await ask(ocid)).status);
    expect(statuses).toEqual([...Array.from({ length: 30 }, () => 401), ...Array.from({ length: 5 }, () => 429)]);
    expect(registry.calls - calls).toBe(30);
    expect((await ask(1000)).status).toBe(401);
    shop.advance(minute_ms + 1000);
    expect((await ask(1040)).status).toBe(401);
  });
});

describe("a registry on a real chain", () => {
  test("leads to the metadata of who is in it, and knows nobody else", async () => {
    const anvil = await startAnvil({ chainId: 56 });
    try {
      const contract = await deployRegistry(anvil);
      await contract.register(200, party.metadata_url);
      shop.reconfigure({ registry: { rpc_url: anvil.url, chain_id: 56, address: contract.address } });
      expect([await found(200), await found(201)]).toEqual(["its key", "UNKNOWN_OCID"]);
      const nothing = `0x${"12".repeat(20)}`;
      shop.reconfigure({ registry: { rpc_url: anvil.url, chain_id: 56, address: nothing } });
      expect(await found(200)).toBe("UNKNOWN_OCID");
      shop.reconfigure({ registry: { rpc_url: anvil.url, chain_id: 1, address: contract.address } });
      expect(await found(200)).toBe("METADATA_UNAVAILABLE");
    } finally {
      await anvil.stop();
    }
  }, 300_000);
});

describe("a caller's change of keys", () => {
  test("leaves the old key ten minutes where it is announced, and none where it is not", async () => {
    const mover = startParty({ ocid: 210, role: "payment_app", now: () => shop.now() });
    mover.knows(shop_ocid, shop.metadata_url);
    try {
      byUrl({ pinned: [{ ocid: 210, metadata_url: mover.metadata_url, public_key: null, endpoint: null }] });
      const ask = async (secret?: string) =>
        (await mover.call(shop.endpoint, "GET", "/capabilities", null, secret === undefined ? {} : { secret })).status;
      const old = mover.rotateKey({ announced: true });
      expect([await ask(), await ask(old)]).toEqual([200, 200]);
      shop.advance(11 * minute_ms);
      expect([await ask(), await ask(old)]).toEqual([200, 401]);
    } finally {
      mover.stop();
    }
  });
});
