// The only way out over HTTP. One deadline and one size limit per request, redirects never followed; where a stranger
// chose the host, every address behind it must be public and the connection goes to one that was checked.

import { Fault } from "./domain/errors.ts";
import { isAddress, isWithin, type Network, parseNetwork, v4Text, v6Of } from "./domain/network.ts";
import { redirectProblem } from "./domain/redirect.ts";
import type { FetchInit, World } from "./world.ts";

/** Addresses of one host tried in turn while none of them takes a connection. */
const addresses_tried_max = 4;
const user_agent = "ocrch";

export interface OutboundRequest {
  method: "POST" | "GET" | "OPTIONS";
  /** http or https. Credentials in it are sent as Basic, its fragment is not sent. */
  url: string;
  headers: Record<string, string>;
  body: string | null;
  /** Covers resolving, connecting, headers and the body up to its limit. */
  timeout_ms: number;
  max_answer_bytes: number;
  /** trusted: from the operator's own configuration. guarded: a stranger chose the host. */
  target: "trusted" | "guarded";
  /** True: once a status has arrived, an error or the deadline while the body is read is `body_error`, not a Fault. */
  status_suffices?: boolean;
}

export interface OutboundAnswer {
  status: number;
  text: string;
  /** True when the body was longer than `max_answer_bytes`. */
  cut: boolean;
  retry_after: string | null;
  content_type: string | null;
  /** The other side's clock as it states it. */
  date: string | null;
  /** Of a redirect: where it points, without secrets, and that it was not followed. */
  redirect: string | null;
  /** Code of the error that ended the reading of the body, whose text is then empty. Only with `status_suffices`. */
  body_error: string | null;
}

export interface Outbound {
  /** Any answer with a status, a redirect too, is an answer. Faults: target_refused, outbound_timeout, outbound_failed. */
  send(request: OutboundRequest): Promise<OutboundAnswer>;
}

/** The way out of this world. Faults name the host, never the rest of a URL. */
export function createOutbound({ world }: { world: World }): Outbound {
  function fetchFor(request: OutboundRequest, url: URL, signal: AbortSignal): Promise<Response> {
    return request.target === "trusted"
      ? world.fetch(bareUrl(url).href, initFor(request, url, signal))
      : fetchGuarded(request, url, signal);
  }

  async function fetchGuarded(request: OutboundRequest, url: URL, signal: AbortSignal): Promise<Response> {
    const addresses = await checkedAddresses(url);
    signal.throwIfAborted();
    // A kept connection would be found again by its address, under whatever name comes next.
    const init: FetchInit = { ...initFor(request, url, signal), keepalive: false };
    const headers = new Headers(init.headers);
    headers.set("host", url.host);
    headers.set("accept-encoding", "identity");
    if (url.protocol === "https:" && !isAddress(hostOf(url))) init.server_name = hostOf(url);

    for (const [tried, address] of addresses.entries()) {
      const target = bareUrl(url);
      target.hostname = address.includes(":") ? `[${address}]` : address;
      try {
        return await world.fetch(target.href, { ...init, headers });
      } catch (error) {
        if (tried + 1 === addresses.length || !wasNeverConnected(error)) throw error;
      }
    }
    throw new Fault("outbound_failed", `${url.host} has no address`);
  }

  /** Resolves once. One address that is not public condemns the whole host: it may be the one meant. */
  async function checkedAddresses(url: URL): Promise<string[]> {
    const host = hostOf(url);
    if (literalTarget(url) === "private") throw new Fault("target_refused", `${url.host} is not a public address`);
    const addresses = isAddress(host) ? [host] : await resolve(host);
    if (!addresses.every(isPublicAddress)) {
      throw new Fault("target_refused", `${url.host} leads to an address that is not public`);
    }
    // IPv4 first: a machine without IPv6 may swallow such packets instead of refusing them.
    return addresses.sort((a, b) => Number(a.includes(":")) - Number(b.includes(":"))).slice(0, addresses_tried_max);
  }

  async function resolve(host: string): Promise<string[]> {
    try {
      return [...(await world.resolve(host))];
    } catch {
      throw new Fault("outbound_failed", `the name ${host} does not resolve`);
    }
  }

  return {
    async send(request) {
      const url = webUrl(request.url);
      const abort = new AbortController();
      const { promise: deadline, reject } = Promise.withResolvers<never>();
      const stop = world.timer(request.timeout_ms, () => {
        reject(new Fault("outbound_timeout", `${url.host} did not answer within ${request.timeout_ms} ms`));
        abort.abort();
      });
      let response: Response | null = null;
      try {
        response = await Promise.race([fetchFor(request, url, abort.signal), deadline]);
        const body = await Promise.race([readUpTo(response, request.max_answer_bytes), deadline]);
        return answerOf(url, response, body, null);
      } catch (error) {
        const fault = error instanceof Fault ? error : failure(url, error);
        if (response === null || request.status_suffices !== true) throw fault;
        abort.abort();
        return answerOf(url, response, { text: "", cut: false }, codeIn(error) || fault.code);
      } finally {
        stop();
      }
    },
  };
}

/**
 * What a URL's host is without asking anyone: an address (in any notation, which the URL parser has made plain) that
 * is public or not, or a name. `localhost` counts as private.
 */
export function literalTarget(url: URL): "private" | "public" | "name" {
  const host = hostOf(url);
  if (/(^|\.)localhost\.*$/i.test(host)) return "private";
  if (!isAddress(host)) return "name";
  return isPublicAddress(host) ? "public" : "private";
}

/** True for an IPv4 or IPv6 address anyone on the internet could have; false for everything else, also for no address. */
export function isPublicAddress(address: string): boolean {
  const six = v6Of(address);
  if (six === null) return isAddress(address) && !isWithin(closed_v4, address);
  if (isWithin(nat64, address)) return isPublicV4(six);
  if (isWithin(six_to_four, address)) return isPublicV4(six >> 80n);
  return isWithin(global_v6, address) && !isWithin(closed_v6, address);
}

function isPublicV4(bits: bigint): boolean {
  return !isWithin(closed_v4, v4Text(BigInt.asUintN(32, bits)));
}

const networks = (...texts: string[]): Network[] => texts.flatMap((text) => parseNetwork(text) ?? []);

/** This network, private, shared, loopback, link-local, protocol, documentation, benchmark, multicast and reserved. */
const closed_v4 = networks(
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"],
  ...["192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"],
  ...["203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"],
);

/** All global IPv6 lies here; loopback, mapped, unique local, link-local, site-local and multicast do not. */
const global_v6 = networks("2000::/3");
/** Protocol assignments with Teredo, and documentation. */
const closed_v6 = networks("2001::/23", "2001:db8::/32", "3fff::/20");
/** Both carry an IPv4 address that decides. */
const nat64 = networks("64:ff9b::/96");
const six_to_four = networks("2002::/16");

function webUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  throw new Fault("target_refused", "only http and https are spoken");
}

/** Host name or address, without the brackets of IPv6. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, "$1");
}

/** Without credentials and fragment. */
function bareUrl(url: URL): URL {
  const bare = new URL(url);
  bare.username = "";
  bare.password = "";
  bare.hash = "";
  return bare;
}

function initFor(request: OutboundRequest, url: URL, signal: AbortSignal): FetchInit {
  const headers = new Headers({ "user-agent": user_agent, ...request.headers });
  if (url.username !== "" || url.password !== "") {
    const credentials = `${decoded(url.username)}:${decoded(url.password)}`;
    headers.set("authorization", `Basic ${Buffer.from(credentials, "utf8").toString("base64")}`);
  }
  return { method: request.method, headers, body: request.body, redirect: "manual", signal };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function answerOf(
  asked: URL,
  { status, headers }: Response,
  { text, cut }: { text: string; cut: boolean },
  body_error: string | null,
): OutboundAnswer {
  return {
    status,
    text,
    cut,
    retry_after: headers.get("retry-after"),
    content_type: headers.get("content-type"),
    date: headers.get("date"),
    redirect: redirectProblem(status, headers.get("location"), asked),
    body_error,
  };
}

/** The body as text, at most `limit` bytes of it; the connection is dropped where it is cut. */
async function readUpTo(response: Response, limit: number): Promise<{ text: string; cut: boolean }> {
  const reader = response.body?.getReader();
  const chunks: Uint8Array[] = [];
  let cut = false;
  for (let room = limit; reader !== undefined && !cut; ) {
    const { done, value } = await reader.read();
    if (done) break;
    cut = value.length > room;
    chunks.push(cut ? value.slice(0, room) : value);
    room -= value.length;
  }
  if (cut) reader?.cancel().catch(() => {});
  return { text: new TextDecoder().decode(Buffer.concat(chunks)), cut };
}

/** The error's code and nothing else: its words may hold the URL. */
function failure(url: URL, error: unknown): Fault {
  const code = codeIn(error);
  return new Fault("outbound_failed", `the request to ${url.host} failed${code === "" ? "" : ` (${code})`}`);
}

/** True when no byte of a request can have left, so that another address may be tried. */
function wasNeverConnected(error: unknown): boolean {
  return /^(ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL|ConnectionRefused|FailedToOpenSocket)$/.test(
    codeIn(error),
  );
}

function codeIn(error: unknown): string {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : "";
  return typeof code === "string" && /^\w{1,60}$/.test(code) ? code : "";
}
