// How often one address, and one identity, may ask something of us over the network. A forged request counts against
// the address it came from, never against the identity it names; what is remembered is bounded, and forgotten oldest first.

import { formatNetwork, parseNetwork } from "../domain/network.ts";
import { type Refusal, refuse } from "../wire/opencharge/errors.ts";
import type { World } from "../world.ts";

const window_ms = 60_000;
/** In a window: requests of one address that nobody signed. A page in a payer's hand asks twelve times. */
const open_max = 1200;
/** Signed requests that were refused, of one address in the name of one OCID: a broken or a lying client. */
const refused_max = 60;
/** The same for one address in whosever name: each costs up to two looks at the curve. */
const refused_in_all_max = 600;
/** Requests that one OCID signed and that were believed. */
const believed_max = 1200;
/** Look-ups of OCIDs nobody asked about lately that one address may cause. */
const lookups_max = 30;
/** Addresses or identities remembered per kind. */
const remembered_max = 10_000;
/** A customer of a provider has a whole network of this many leading bits. */
const v6_prefix = 64;

export interface NetworkLimits {
  /** Counts an unsigned request. Refusal: RATE_LIMITED. */
  open(address: string): Refusal | null;
  /**
   * Whether a request of an address in the name of an OCID is worth a look: neither is at its end. Counts nothing, so
   * that nobody can use up what is another's. Refusal: RATE_LIMITED.
   */
  present(address: string, ocid: number): Refusal | null;
  /** Counts a request in the name of an OCID that was not believed; null for a name that could not be read. */
  refused(address: string, ocid: number | null): void;
  /** Counts a request that was believed. Refusal: RATE_LIMITED. */
  believed(ocid: number): Refusal | null;
  /** Counts a look-up. Refusal: RATE_LIMITED. */
  lookUp(address: string): Refusal | null;
}

/** The limits by this world's monotonic clock. */
export function createNetworkLimits({ world }: { world: World }): NetworkLimits {
  const tally = (max: number) => createTally(world, max);
  const [opened, refused, refused_in_all] = [tally(open_max), tally(refused_max), tally(refused_in_all_max)];
  const [believed, lookups] = [tally(believed_max), tally(lookups_max)];
  const limited = (waits: readonly number[]): Refusal | null => {
    const wait_ms = Math.max(...waits);
    return wait_ms <= 0 ? null : { ...refuse("RATE_LIMITED"), retry_after_s: Math.max(1, Math.ceil(wait_ms / 1000)) };
  };
  return {
    open: (address) => limited([opened.take(groupOf(address))]),
    present(address, ocid) {
      const group = groupOf(address);
      return limited([refused_in_all.wait(group), refused.wait(`${group} ${ocid}`), believed.wait(String(ocid))]);
    },
    refused(address, ocid) {
      const group = groupOf(address);
      refused_in_all.take(group);
      if (ocid !== null) refused.take(`${group} ${ocid}`);
    },
    believed: (ocid) => limited([believed.take(String(ocid))]),
    lookUp: (address) => limited([lookups.take(groupOf(address))]),
  };
}

interface Tally {
  /** Counts one; how long (ms) until there is room again, 0 while there was. */
  take(name: string): number;
  /** The same without counting. */
  wait(name: string): number;
}

/** Up to `max` per name in a window that begins with the first. */
function createTally(world: World, max: number): Tally {
  const windows = new Map<string, { began: number; count: number }>();

  function windowOf(name: string) {
    const known = windows.get(name);
    return known !== undefined && world.elapsed() - known.began < window_ms ? known : null;
  }

  const left = (one: { began: number } | null) => (one === null ? 0 : one.began + window_ms - world.elapsed());

  return {
    wait(name) {
      const known = windowOf(name);
      return known !== null && known.count >= max ? left(known) : 0;
    },
    take(name) {
      const known = windowOf(name);
      if (known !== null && known.count >= max) return left(known);
      windows.delete(name);
      windows.set(name, { began: known?.began ?? world.elapsed(), count: (known?.count ?? 0) + 1 });
      for (const oldest of windows.keys()) {
        if (windows.size <= remembered_max) break;
        windows.delete(oldest);
      }
      return 0;
    },
  };
}

/** Who shares an address: of IPv6 its whole network, else it alone. */
function groupOf(address: string): string {
  const network = parseNetwork(`${address}/${v6_prefix}`);
  return network === null ? address : formatNetwork(network);
}
