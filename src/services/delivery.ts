// Sends what the outbox holds. Each delivery keeps its own schedule across restarts; a lane per origin, and per address
// for proofs, keeps a dead endpoint from delaying anybody else. At-least-once: an attempt that was not recorded is made
// again.

import { type Config, type LiveConfig, merchantSecrets } from "../config/config.ts";
import { errorCode, errorText, Fault } from "../domain/errors.ts";
import { proofRetryDelay, retryDelay } from "../domain/events.ts";
import type { Outbound } from "../outbound.ts";
import type { Database } from "../storage/engine/database.ts";
import type { ProofSigner } from "../storage/hooks.ts";
import {
  type AttemptResult,
  type DeliveryRow,
  dueDeliveries,
  dueLanes,
  postpone,
  recordAttempt,
} from "../storage/outbox.ts";
import type { Telemetry } from "../telemetry.ts";
import { signBody } from "../wire/signature.ts";
import { standardWebhookHeaders } from "../wire/standard-webhooks.ts";
import type { World } from "../world.ts";
import type { EventLog } from "./event-log.ts";

const in_flight_per_lane_max = 4;
const in_flight_max = 256;
/** Of those, proofs: strangers name their addresses, as many as they like, and the shop's webhooks must find room. */
const proofs_in_flight_max = 128;
/** A proof that this appliance has no identity to send under is looked at again after so long. */
const no_identity_pause_ms = 60_000;
/** After so many failures in a row a lane gets one attempt at a time. */
const narrow_after_failures = 5;
const answer_max_bytes = 64 * 1024;
/** Of what a receiver of proofs refuses, only this may change its mind. */
const passing_refusals: readonly number[] = [408, 429];

/** What came of one request: `error` is null when it was taken, `final` when another try cannot change that. */
interface Outcome {
  status: number | null;
  error: string | null;
  /** What a person can make of the error: of no answer at all, and of a redirect. */
  reason?: string | undefined;
  /** Code of an error while the answer's body was read. It changes nothing: the status decides. */
  body_error?: string | undefined;
  final: boolean;
}

export interface Delivery {
  /** Starts every attempt that is due and has room in its lane; resolves once they are started, not when they end. */
  sendDue(): Promise<void>;
  /** Starts nothing more and resolves when the attempts in flight have ended and are recorded. */
  stop(): Promise<void>;
}

/**
 * `onRoom` is called when an attempt has ended: something else may be sent now. `proofs` signs the proofs of payment;
 * without it, and while it has no identity to sign for, they wait.
 */
export function createDelivery(needs: {
  database: Database;
  config: LiveConfig;
  outbound: Outbound;
  world: World;
  telemetry: Telemetry;
  eventLog: Pick<EventLog, "keep">;
  onRoom(): void;
  proofs: ProofSigner | null;
}): Delivery {
  const { database, config, outbound, world, telemetry, proofs } = needs;
  const inFlight = new Map<number, Promise<void>>();
  let proofs_in_flight = 0;
  const lanes = new Map<string, { busy: Set<number>; failures: number }>();
  let stopped = false;

  function laneOf(name: string) {
    const known = lanes.get(name);
    if (known !== undefined) return known;
    const made = { busy: new Set<number>(), failures: 0 };
    lanes.set(name, made);
    return made;
  }

  function start(row: DeliveryRow): void {
    laneOf(row.lane).busy.add(row.id);
    if (row.schedule === "proof") proofs_in_flight += 1;
    inFlight.set(row.id, attempt(row));
  }

  async function attempt(row: DeliveryRow): Promise<void> {
    const lane = laneOf(row.lane);
    try {
      const result = await send(row);
      if (result !== null) lane.failures = result.delivered ? 0 : lane.failures + 1;
      world.point("delivery.answered");
      await database.transact((tx) => {
        if (result === null) postpone(tx, row.id, tx.now + no_identity_pause_ms);
        else recordAttempt(tx, result);
      });
    } catch (error) {
      // Not recorded: the delivery is still due and is attempted again.
      telemetry.error("delivery_not_recorded", { delivery: row.id, code: errorCode(error) });
    } finally {
      inFlight.delete(row.id);
      lane.busy.delete(row.id);
      if (row.schedule === "proof") proofs_in_flight -= 1;
      if (lane.busy.size === 0 && lane.failures === 0) lanes.delete(row.lane);
      if (!stopped) needs.onRoom();
    }
  }

  /** What came of one attempt; null where none could be made: nobody was asked, so it counts against nobody. */
  async function send(row: DeliveryRow): Promise<AttemptResult | null> {
    const settings = config.current();
    const started_at = world.now();
    world.point("delivery.sending");
    const { schedule } = row;
    const outcome = await (schedule === "proof" ? postProof(row, settings) : post(row, settings, started_at));
    if (outcome === null) {
      telemetry.warn("proof_waits", { ...aboutOf(row), error: "no_identity", retry_in_ms: no_identity_pause_ms });
      return null;
    }
    const { status, error, reason, body_error, final } = outcome;
    const ended_at = world.now();
    const delivered = error === null;
    const failed = row.failures + 1;
    const delay = final ? null : schedule === "proof" ? proofRetryDelay(failed) : retryDelay(failed);
    const about = { ...aboutOf(row), status, error, reason, body_error };
    if (delivered) telemetry.info(schedule === "proof" ? "proof_delivered" : "webhook_delivered", about);
    else telemetry.warn(schedule === "proof" ? "proof_failed" : "webhook_failed", { ...about, retry_in_ms: delay });
    return {
      delivery: row.id,
      started_at,
      ended_at,
      status,
      error,
      delivered,
      next_at: delivered || delay === null ? null : ended_at + delay,
    };
  }

  /** One webhook. */
  async function post(row: DeliveryRow, settings: Config, now: number): Promise<Outcome> {
    const id = `evt_${row.event ?? `d${row.id}`}`;
    // No number leaves before it is kept beside the database.
    needs.eventLog.keep();
    const trusted =
      settings.webhooks.allow_private_targets || row.url === settings.merchant.unknown_transfer_webhook_url;
    try {
      const answer = await outbound.send({
        method: "POST",
        url: row.url,
        headers: {
          "Content-Type": "application/json",
          "Ocrch-Signature": signBody(settings.merchant.secret, row.body, now, settings.webhooks.signature_padding),
          ...standardWebhookHeaders(merchantSecrets(settings), id, row.body, now),
        },
        body: row.body,
        timeout_ms: settings.webhooks.timeout_ms,
        max_answer_bytes: answer_max_bytes,
        target: trusted ? "trusted" : "guarded",
        status_suffices: true,
      });
      const taken =
        settings.webhooks.success === "200" ? answer.status === 200 : answer.status >= 200 && answer.status < 300;
      return {
        status: answer.status,
        error: taken ? null : "not_accepted",
        reason: answer.redirect ?? undefined,
        body_error: answer.body_error ?? undefined,
        final: false,
      };
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return { status: null, error: error.code, reason: errorText(error), final: false };
    }
  }

  /** One proof of payment: the same bytes each time, under headers of this moment; null while nobody can sign those. */
  async function postProof(row: DeliveryRow, settings: Config): Promise<Outcome | null> {
    try {
      const signed = proofs?.sign(row.url, row.body) ?? null;
      if (proofs === null || signed === null) return null;
      const { status, text, redirect, body_error } = await outbound.send({
        method: "POST",
        url: row.url,
        headers: { "Content-Type": "application/json", ...signed },
        body: row.body,
        timeout_ms: settings.webhooks.timeout_ms,
        max_answer_bytes: answer_max_bytes,
        target: settings.webhooks.allow_private_targets ? "trusted" : "guarded",
        status_suffices: true,
      });
      const taken = status >= 200 && status < 300;
      // A receiver may answer 200 and still not want the money, because the order was paid before: a case for a person.
      const rejected = taken ? proofs.rejectionIn(text) : null;
      if (rejected !== null) telemetry.warn("proof_rejected", { ...aboutOf(row), message: rejected.message });
      const is_refused = status >= 400 && status < 500 && !passing_refusals.includes(status);
      return {
        status,
        error: taken ? null : "not_accepted",
        reason: redirect ?? undefined,
        body_error: body_error ?? undefined,
        final: is_refused,
      };
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return { status: null, error: error.code, reason: errorText(error), final: false };
    }
  }

  /** What a log line says of a delivery: whose it is and the origin it goes to, never the rest of its address. */
  function aboutOf({ id, event, order_id, url, schedule, body }: DeliveryRow): Record<string, unknown> {
    const { origin } = new URL(url);
    if (schedule === "webhook") return { delivery: id, event, order: order_id, origin };
    return { delivery: id, ...proofs?.about(body), origin };
  }

  return {
    async sendDue() {
      // What cannot be recorded would be sent again and again.
      if (database.unwritable() !== null) return;
      if (stopped) return;
      const now = world.now();
      for (const { lane, through } of database.read((at) => dueLanes(at, now))) {
        const { busy, failures } = laneOf(lane);
        const room = Math.min(
          (failures >= narrow_after_failures ? 1 : in_flight_per_lane_max) - busy.size,
          in_flight_max - inFlight.size,
        );
        if (room <= 0) continue;
        // Those in flight are due as well until they are recorded: ask for as many more.
        const due = database.read((at) => dueDeliveries(at, lane, through, room + busy.size));
        for (const row of due.filter(({ id }) => !inFlight.has(id)).slice(0, room)) {
          if (row.schedule === "webhook" || proofs_in_flight < proofs_in_flight_max) start(row);
        }
      }
    },

    async stop() {
      stopped = true;
      await Promise.all(inFlight.values());
    },
  };
}
