// Where a weak proof leads us: whom we ask whether it is theirs, over which way, and how many of these questions one
// caller may have open. The issuer's own part is real HTTP on loopback.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Answer, type Party, startParty } from "../support/opencharge/party.ts";
import { type Shop, shop_ocid, startShop } from "../support/opencharge/shop.ts";
import type { Fields } from "../support/opencharge/spelling.ts";

let shop: Shop;
let provider: Party;
let relay: Party;
let other: Party;

beforeEach(() => {
  const now = () => Date.now();
  provider = startParty({ ocid: 100, role: "settlement_provider", now });
  relay = startParty({ ocid: 300, role: "merchant_gateway", now });
  other = startParty({ ocid: 301, role: "merchant_gateway", now });
});
afterEach(async () => {
  for (const party of [provider, relay, other]) party.stop();
  await shop.stop();
});

const byKey = ({ ocid, publicKey: public_key }: Party, endpoint: string | null) => {
  return { ocid, metadata_url: null, public_key, endpoint };
};
const start = async (endpoint: string, allow_private_targets: boolean) => {
  const pinned = [byKey(provider, endpoint), byKey(relay, null), byKey(other, null)];
  shop = await startShop({ allow_private_targets, settings: { accepts: [100, 300, 301], pinned } });
};
const weakProof = () =>
  provider.proof({ to: { ocid: shop_ocid, reference: "ord_1" }, amount: "1.00", currency: "USD" }, "shallow");
const bring = (envelope: { proof: Fields; signature: string }, from = relay) =>
  from.call(shop.endpoint, "POST", "/transfer/webhook", envelope);
const verdict = ({ status, json }: Answer) => `${status} ${(json?.error as Fields | undefined)?.code ?? json?.status}`;

describe("an issuer whose endpoint", () => {
  /** Takes connections, and says nothing. */
  function startDoor() {
    let knocks = 0;
    const open = (socket: { end(): void }) => {
      knocks++;
      socket.end();
    };
    const door = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { open, data: () => {} } });
    return { host: `127.0.0.1:${door.port}`, knocks: () => knocks, stop: () => door.stop(true) };
  }

  const ways: [what: string, scheme: string, expected: string][] = [
    ["is not https is not asked, so its weak proof does not hold", "http", "400 PROOF_SIGNATURE_INVALID"],
    ["lies within our own network is not reached, so its weak proof has to wait", "https", "502 METADATA_UNAVAILABLE"],
  ];
  test.each(ways)("%s", async (_what, scheme, expected) => {
    const door = startDoor();
    await start(`${scheme}://${door.host}/opencharge`, false);
    expect(verdict(await bring(weakProof()))).toBe(expected);
    expect(door.knocks()).toBe(0);
    door.stop();
  });
});

test("that does not answer keeps four questions of one caller waiting, and leaves room for others", async () => {
  await start(provider.endpoint, true);
  const thinking = Promise.withResolvers<void>();
  const asked = () => provider.received.filter(({ path }) => path.startsWith("/verify/")).length;
  const question = (from: Party) => {
    const envelope = weakProof();
    provider.answerWith(`/verify/${envelope.proof.txid}`, async () => {
      await thinking.promise;
      return Response.json({ ...envelope.proof, ...envelope, status: "completed" });
    });
    return bring(envelope, from);
  };
  const until = async (count: number) => {
    while (asked() < count) await Bun.sleep(1);
  };
  const own = Array.from({ length: 4 }, () => question(relay));
  await until(4);
  expect(verdict(await question(relay))).toBe("502 METADATA_UNAVAILABLE");
  const others = question(other);
  await until(5);
  thinking.resolve();
  for (const answer of await Promise.all([...own, others])) expect(verdict(answer)).toBe("200 accepted");
  expect(asked()).toBe(5);
});

describe("an issuer that is asked whether a weak proof is its own and", () => {
  const answers: [what: string, answer: (envelope: Fields) => Response, expected: string][] = [
    ["says so is believed", (envelope) => Response.json({ ...envelope, status: "completed" }), "200 accepted"],
    ["knows none of it is believed, too", () => new Response(null, { status: 404 }), "400 PROOF_SIGNATURE_INVALID"],
    ["fails has to be asked again", () => Response.json({}, { status: 500 }), "502 METADATA_UNAVAILABLE"],
    ["answers no JSON has to be asked again", () => new Response("<p>"), "502 METADATA_UNAVAILABLE"],
    ["never ends has to be asked again", () => new Response(" ".repeat(2_000_000)), "502 METADATA_UNAVAILABLE"],
  ];
  test.each(answers)("%s", async (_what, answer, expected) => {
    await start(provider.endpoint, true);
    const envelope = weakProof();
    provider.answerWith(`/verify/${envelope.proof.txid}`, async () => answer({ ...envelope.proof, ...envelope }));
    expect(verdict(await bring(envelope))).toBe(expected);
  });
});
