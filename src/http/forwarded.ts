// Who sent a request and what it is called, also behind proxies. Believes a header only where the peer is one of the
// operator's own proxies; everything else a client says about itself is ignored.

import type { LiveConfig } from "../config/config.ts";
import { isAddress, isWithin, type Network } from "../domain/network.ts";
import type { World } from "../world.ts";

/** Hops looked at from the right; a longer list is somebody playing. */
const hops_max = 32;
const prefix_bytes = 6;
const id_pattern = /^[A-Za-z0-9._-]{1,64}$/;

export interface Caller {
  /** The client's address as its nearest trusted proxy gives it, else the peer's. */
  address: string;
  /** What the answer and the log call the request. */
  id: string;
}

/** Tells who calls by the live settings. Ids are the proxy's, or a random part of this process and a number. */
export function createCallers(needs: { world: World; config: LiveConfig }): (request: Request, peer: string) => Caller {
  const prefix = Buffer.from(needs.world.random(prefix_bytes)).toString("hex");
  let count = 0;
  const nextId = () => {
    count += 1;
    return `${prefix}-${count.toString(36)}`;
  };
  return (request, peer) => {
    const proxies = needs.config.current().server.trusted_proxies;
    if (proxies.length === 0 || !isWithin(proxies, peer)) return { address: peer, id: nextId() };
    const named = request.headers.get("x-request-id") ?? "";
    return {
      address: clientBehind(proxies, peer, request.headers.get("x-forwarded-for") ?? ""),
      id: id_pattern.test(named) ? named : nextId(),
    };
  };
}

/**
 * The right-most address of `X-Forwarded-For` that is no proxy of ours; the left-most of all when each is one. What
 * stands left of something that is no address was not written by our proxies: the hop before it counts.
 */
function clientBehind(proxies: readonly Network[], peer: string, forwarded: string): string {
  let client = peer;
  for (const hop of forwarded.split(",").slice(-hops_max).reverse()) {
    const address = withoutPort(hop.trim());
    if (!isAddress(address)) return client;
    client = address;
    if (!isWithin(proxies, address)) return client;
  }
  return client;
}

/** Some proxies write `192.0.2.1:4711` and `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  return /^\[([^\]]*)\](?::\d{1,5})?$/.exec(hop)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(hop)?.[1] ?? hop;
}
