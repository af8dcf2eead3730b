// Who may call the Admin API: one secret, kept as an argon2 hash. Guesses are counted per client (an IPv4 address, an
// IPv6 /64 network) and stopped before they cost an argon2 run; the right secret, once verified, costs one HMAC. Never
// logs or keeps a secret.

import { createHmac, timingSafeEqual } from "node:crypto";
import type { LiveConfig } from "../config/config.ts";
import { Fault } from "../domain/errors.ts";
import { addressGroup } from "../domain/network.ts";
import { createSemaphore } from "../limits/semaphore.ts";
import type { Telemetry } from "../telemetry.ts";
import { headerText } from "../wire/signature.ts";
import type { World } from "../world.ts";
import type { Call } from "./route.ts";

const admin_header = "Ocrch-Admin-Authorization";
const failures_max = 10;
const failures_window_ms = 60_000;
/** Each run takes 64 MiB and a core for a tenth of a second. */
const argon2_runs_max = 2;
/** Different secrets being verified or waiting for it, over all clients. */
const verifications_max = 64;
/** Of these, those of clients that have guessed wrong or have one running: the others are for clients that have not. */
const suspect_verifications_max = 32;
const crowded_retry_s = 1;
const clients_max = 10_000;
const key_bytes = 32;

export interface AdminAuth {
  /**
   * Resolves when the call carries the admin secret. Faults: missing_admin_secret, invalid_admin_header,
   * too_many_failed_attempts, invalid_admin_secret.
   */
  check(call: Pick<Call, "request" | "connection" | "id">): Promise<void>;
  /**
   * Forgets the verified secret, so that the next request is verified against the hash again, and failed attempts: who
   * tried a new secret before it was in force is not kept waiting with it.
   */
  clear(): void;
}

interface Client {
  /** Times of failures within the window, by the monotonic clock, oldest first. */
  failures: number[];
  in_flight: number;
}

/** Guards the Admin API with the live settings' hash. */
export function createAdminAuth(needs: { world: World; telemetry: Telemetry; config: LiveConfig }): AdminAuth {
  const { world, telemetry, config } = needs;
  const key = world.random(key_bytes);
  const clients = new Map<string, Client>();
  const verifications = new Map<string, Promise<boolean>>();
  const argon2 = createSemaphore(argon2_runs_max);
  let verified: { hash: string; digest: Uint8Array } | null = null;

  /** True or false when the verified secret decides; null when only argon2 can tell. */
  function cached(hash: string, digest: Uint8Array): boolean | null {
    return verified?.hash === hash ? timingSafeEqual(verified.digest, digest) : null;
  }

  function clientOf(group: string): Client {
    const client = clients.get(group) ?? { failures: [], in_flight: 0 };
    const since = world.elapsed() - failures_window_ms;
    client.failures = client.failures.filter((time) => time > since);
    return client;
  }

  function refuseGuessers(group: string): void {
    const { failures, in_flight } = clientOf(group);
    if (failures.length + in_flight < failures_max) return;
    const free_at = (failures[0] ?? world.elapsed()) + failures_window_ms;
    const wait_s = failures.length === 0 ? crowded_retry_s : Math.ceil((free_at - world.elapsed()) / 1000);
    throw new Fault("too_many_failed_attempts", undefined, Math.max(wait_s, 1));
  }

  /** Keeps a client as the youngest; the oldest goes when there are too many. */
  function keep(group: string, client: Client): void {
    clients.delete(group);
    clients.set(group, client);
    const [oldest] = clients.keys();
    if (clients.size > clients_max && oldest !== undefined) clients.delete(oldest);
  }

  function startVerification(id: string, group: string, secret: string, hash: string, digest: Uint8Array) {
    refuseGuessers(group);
    const client = clientOf(group);
    const isSuspect = client.failures.length + client.in_flight > 0;
    if (verifications.size >= (isSuspect ? suspect_verifications_max : verifications_max)) {
      throw new Fault("too_many_failed_attempts", undefined, crowded_retry_s);
    }
    client.in_flight += 1;
    keep(group, client);
    const verify = () => cached(hash, digest) ?? (hash !== "" && world.passwords.verify(secret, hash));
    const verification = argon2(verify)
      .then((right) => {
        if (right) verified = { hash, digest };
        return right;
      })
      .finally(() => {
        client.in_flight -= 1;
        verifications.delete(id);
      });
    verifications.set(id, verification);
    return verification;
  }

  return {
    async check({ request, connection, id: request_id }) {
      const { address } = connection;
      const group = addressGroup(address);
      const header = request.headers.get(admin_header);
      if (header === null) throw new Fault("missing_admin_secret");
      const secret = headerText(header);
      if (secret === null) throw new Fault("invalid_admin_header");
      const hash = config.current().admin.secret_hash;
      const digest = createHmac("sha256", key).update(secret).digest();
      const known = cached(hash, digest);
      if (known === true) return;
      if (known === null) {
        // Requests with one secret share one run, so that many at once with the right one are no guessing.
        const id = `${hash} ${digest.toString("hex")}`;
        if (await (verifications.get(id) ?? startVerification(id, group, secret, hash, digest))) return;
      }

      refuseGuessers(group);
      const client = clientOf(group);
      client.failures.push(world.elapsed());
      keep(group, client);
      telemetry.count("admin_secrets_refused");
      if (client.failures.length === failures_max) {
        telemetry.warn("admin_guesses_stopped", { request: request_id, client: address, failures: failures_max });
      }
      throw new Fault("invalid_admin_secret");
    },

    clear() {
      verified = null;
      for (const client of clients.values()) client.failures = [];
    },
  };
}
