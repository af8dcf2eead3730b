// Who is behind an OCID: pinned identities, then the registry, then the metadata its host serves. Never follows an
// address that a caller named, never answers from memory once that has run out.

import type { LiveConfig } from "../../config/config.ts";
import { errorText, Fault } from "../../domain/errors.ts";
import { createWindowCounter } from "../../limits/window-counter.ts";
import type { Outbound } from "../../outbound.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { World } from "../../world.ts";
import type { OpenchargeSettings, PinnedIdentity } from "../config/settings.ts";
import { isRefusal, type NetworkRefusal, networkRefusal } from "../wire/errors.ts";
import { addressOf, parsePublicKey } from "../wire/keys.ts";
import { type Metadata, readMetadata } from "../wire/metadata.ts";
import { isJsonObject, type JsonValue, parseStrictJson } from "../wire/strict-json.ts";
import type { LocalIdentitySource } from "./identity.ts";
import { type Registration, registration } from "./registry.ts";

const metadata_timeout_ms = 5000;
const metadata_max_bytes = 65_536;
const memory_ms = 5 * 60_000;
/** For identities that are not registered or cannot be read, so that asking again costs their host nothing. */
const refusal_memory_ms = 60_000;
/** A signature that fails may mean a new key: worth one more look, but not at a stranger's pace. */
const refresh_pause_ms = 60_000;
const remembered_max = 2000;
/** What the registry is asked in a window, on account of all addresses and issuers together. */
const registry_lookups_max = 300;
const registry_window_ms = 60_000;
const http_ok = 200;
const data_url = /^data:application\/json(?:;charset=utf-8)?(;base64)?,(.*)$/is;

export interface Directory {
  /** What is known of an OCID. Refusals: UNKNOWN_OCID, METADATA_UNAVAILABLE, RATE_LIMITED. Never rejects. */
  find(ocid: number): Promise<Metadata | NetworkRefusal>;
  /** The same, read anew; null when that was done less than a minute ago or led nowhere. Never rejects. */
  refresh(ocid: number): Promise<Metadata | null>;
  /** Whether a stranger may make us `find` it at any pace: it costs no look-up, or the operator named it. */
  isCheap(ocid: number): boolean;
}

interface Memory {
  found: Metadata | NetworkRefusal;
  /** Monotonic, ms. */
  until: number;
}

/** The directory of these settings; it forgets everything when they change. */
export function createDirectory(needs: {
  config: LiveConfig;
  outbound: Outbound;
  world: World;
  telemetry: Telemetry;
  identities: LocalIdentitySource;
}): Directory {
  const { config, outbound, world, telemetry, identities } = needs;
  const memory = new Map<number, Memory>();
  const refreshed = new Map<number, number>();
  const under_way = new Map<number, Promise<Metadata | NetworkRefusal>>();
  /** OCIDs of which it was said that somebody else than their key owns them. */
  const told = new Set<number>();
  const lookups = createWindowCounter({
    world,
    max: registry_lookups_max,
    window_ms: registry_window_ms,
    remembered_max: 1,
  });
  let seen: OpenchargeSettings | null = null;

  function settled(): OpenchargeSettings | null {
    const settings = config.current().opencharge ?? null;
    if (settings !== seen) {
      for (const known of [memory, refreshed, under_way, told]) known.clear();
      seen = settings;
    }
    return settings;
  }

  /** From us or from what the operator wrote down; null when somebody must be asked. */
  function atHand(settings: OpenchargeSettings, ocid: number): Metadata | NetworkRefusal | null {
    const own = identities.current()?.metadataOf(ocid, world.now()) ?? null;
    if (own !== null) return own;
    const pinned = settings.pinned.find((entry) => entry.ocid === ocid);
    if (pinned !== undefined && pinned.public_key !== null) return pinnedMetadata(pinned, pinned.public_key);
    if (pinned === undefined && settings.registry === null) return networkRefusal("UNKNOWN_OCID");
    return null;
  }

  function remembered(ocid: number): Metadata | NetworkRefusal | null {
    const known = memory.get(ocid);
    return known !== undefined && known.until > world.elapsed() ? known.found : null;
  }

  function remember(ocid: number, found: Metadata | NetworkRefusal): void {
    memory.delete(ocid);
    memory.set(ocid, { found, until: world.elapsed() + (isRefusal(found) ? refusal_memory_ms : memory_ms) });
    for (const oldest of memory.keys()) {
      if (memory.size <= remembered_max) break;
      memory.delete(oldest);
    }
  }

  /** One look for all who ask at the same time. */
  function look(settings: OpenchargeSettings, ocid: number): Promise<Metadata | NetworkRefusal> {
    const running = under_way.get(ocid);
    if (running !== undefined) return running;
    const asked = ask(settings, ocid).finally(() => {
      if (under_way.get(ocid) === asked) under_way.delete(ocid);
    });
    under_way.set(ocid, asked);
    return asked;
  }

  async function ask(settings: OpenchargeSettings, ocid: number): Promise<Metadata | NetworkRefusal> {
    try {
      const pinned = settings.pinned.find((entry) => entry.ocid === ocid);
      if (pinned !== undefined && pinned.metadata_url !== null)
        return await readAt(pinned.metadata_url, true, settings);
      // Who the operator named finds room, however many strangers ask.
      const wait_ms = settings.registry === null || pinned !== undefined ? 0 : lookups.take("registry");
      if (wait_ms > 0) {
        telemetry.count("opencharge_lookups_refused");
        return { ...networkRefusal("RATE_LIMITED"), retry_after_s: Math.ceil(wait_ms / 1000) };
      }
      const registered = settings.registry === null ? null : await registration(outbound, settings.registry, ocid);
      if (registered === null) return networkRefusal("UNKNOWN_OCID");
      const found = await readAt(registered.url, false, settings);
      if (!isRefusal(found)) checkOwner(ocid, registered, found);
      return found;
    } catch (error) {
      telemetry.warn("opencharge_lookup_failed", { ocid, error: errorText(error) });
      return networkRefusal("METADATA_UNAVAILABLE");
    }
  }

  /** Who holds the OCID with another key does well to, so this is for the operator to know and stops nothing. */
  function checkOwner(ocid: number, { owner }: Registration, { public_key }: Metadata): void {
    const signer = addressOf(public_key).toLowerCase();
    if (owner === null || owner === signer || told.has(ocid)) return;
    if (told.size >= remembered_max) told.clear();
    told.add(ocid);
    telemetry.warn("opencharge_owner_differs", { ocid, owner, signer });
  }

  /** The document at an address, or beside it: some register the base of their API instead. */
  async function readAt(
    url: string,
    pinned: boolean,
    settings: OpenchargeSettings,
  ): Promise<Metadata | NetworkRefusal> {
    const allow_http = config.current().webhooks.allow_private_targets;
    const rules = { require_signed_config: settings.require_signed_config, allow_http };
    const inline = data_url.exec(url);
    if (inline !== null) return readMetadata(parseStrictJson(inlineText(inline)), rules);
    if (!pinned && !allow_http && !/^https:\/\//i.test(url)) throw new Fault("target_refused", "it is not https");
    const trusted = pinned || allow_http;
    const other = besides(url);
    const first = await fetchDocument(url, trusted);
    const document = first === null && other !== url ? await fetchDocument(other, trusted) : first;
    return document === null ? networkRefusal("METADATA_UNAVAILABLE") : readMetadata(document, rules);
  }

  /** Null for an answer that is no metadata at all. */
  async function fetchDocument(url: string, trusted: boolean): Promise<JsonValue | null> {
    const answer = await outbound.send({
      method: "GET",
      url,
      headers: { accept: "application/json" },
      body: null,
      timeout_ms: metadata_timeout_ms,
      max_answer_bytes: metadata_max_bytes,
      target: trusted ? "trusted" : "guarded",
    });
    if (answer.status !== http_ok || answer.cut) return null;
    try {
      const json = parseStrictJson(answer.text);
      return isJsonObject(json) && json.opencharge !== undefined ? json : null;
    } catch {
      return null;
    }
  }

  return {
    async find(ocid) {
      const settings = settled();
      if (settings === null) return networkRefusal("UNKNOWN_OCID");
      const known = atHand(settings, ocid) ?? remembered(ocid);
      if (known !== null) return known;
      const found = await look(settings, ocid);
      const isPutOff = isRefusal(found) && found.refused === "RATE_LIMITED";
      if (settings === seen && !isPutOff) remember(ocid, found);
      return found;
    },
    async refresh(ocid) {
      const settings = settled();
      if (settings === null || atHand(settings, ocid) !== null) return null;
      const last = refreshed.get(ocid);
      if (last !== undefined && world.elapsed() - last < refresh_pause_ms) return null;
      if (refreshed.size >= remembered_max) refreshed.clear();
      refreshed.set(ocid, world.elapsed());
      const found = await look(settings, ocid);
      // A failure here proves nothing new: what is remembered runs out by itself.
      if (isRefusal(found)) return null;
      if (settings === seen) remember(ocid, found);
      return found;
    },
    isCheap(ocid) {
      const settings = settled();
      if (settings === null || atHand(settings, ocid) !== null || remembered(ocid) !== null) return true;
      return settings.pinned.some((entry) => entry.ocid === ocid);
    },
  };
}

function pinnedMetadata(pinned: PinnedIdentity, written: string): Metadata | NetworkRefusal {
  const public_key = parsePublicKey(written);
  if (public_key === null)
    return networkRefusal("METADATA_UNAVAILABLE", { details: { problem: "publicKey is no key" } });
  return {
    name: `OCID ${pinned.ocid}`,
    public_key,
    endpoint: pinned.endpoint?.replace(/\/+$/, "") ?? null,
    capabilities: [],
    settlement: { currencies: [], accepts: [] },
    settlement_signed: false,
    previous: null,
    shape: "flat",
    dialect: "unknown",
  };
}

function inlineText([, base64, data = ""]: RegExpExecArray): string {
  const text = decodeURIComponent(data);
  return base64 === undefined ? text : Buffer.from(text, "base64").toString("utf8");
}

/** Where the document is if an address is only the base of an API. */
function besides(url: string): string {
  const base = url.replace(/[?#].*$/s, "").replace(/\/+$/, "");
  return base.endsWith("/metadata.json") ? url : `${base}/metadata.json`;
}
