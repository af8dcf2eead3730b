// What is looked at of the way to the shop and back: whether webhooks can arrive, whether public_url leads here. Sends
// no event: an OPTIONS request, whose answer may be anything but a redirect.

import type { Config } from "../../config/config.ts";
import { isRedirect } from "../../domain/redirect.ts";
import type { Outbound } from "../../outbound.ts";
import type { WebhookOrigin } from "../../storage/examine.ts";
import type { World } from "../../world.ts";
import { type Check, type CheckFinding, ok, runCheck, warn } from "./check.ts";

const reach_timeout_ms = 9_000;
const reach_answer_max_bytes = 65_536;
const http_ok = 200;

export interface ReachNeeds {
  config: Config;
  outbound: Outbound;
  world: World;
}

/**
 * Looks whether the shop's addresses take connections: the unknown-transfer URL, and where webhooks went lately. Warns
 * where one redirects: an event would not follow.
 */
export function examineWebhooks(needs: ReachNeeds, origins: readonly WebhookOrigin[]): Promise<Check[]> {
  const { config, world } = needs;
  const unknown = config.merchant.unknown_transfer_webhook_url;
  const known = unknown === null ? null : new URL(unknown).origin;
  // As deliveries do: what the operator wrote may lie anywhere, what a client sent only where all may go.
  const guarded = config.webhooks.allow_private_targets ? "trusted" : "guarded";
  const lastAt = (origin: string | null) => origins.find((one) => one.origin === origin) ?? null;
  return Promise.all([
    ...(unknown === null
      ? []
      : [runCheck(world, hostOf(unknown), "webhook", () => knock(needs, unknown, "trusted", lastAt(known)))]),
    ...origins
      .filter(({ origin }) => origin !== known)
      .map((last) => runCheck(world, hostOf(last.origin), "webhook", () => knock(needs, last.origin, guarded, last))),
  ]);
}

/**
 * `last`: what the newest event sent there was answered with. It decides, because it was asked at the full URL. Where
 * that was a redirect, the same URL is asked where it points.
 */
async function knock(
  { outbound }: ReachNeeds,
  url: string,
  target: "trusted" | "guarded",
  last: WebhookOrigin | null,
): Promise<CheckFinding> {
  const last_status = last?.last_status ?? null;
  const wasRedirected = last_status !== null && isRedirect(last_status);
  const { status, redirect } = await outbound.send({
    method: "OPTIONS",
    url: wasRedirected ? (last?.last_url ?? url) : url,
    headers: {},
    body: null,
    timeout_ms: reach_timeout_ms,
    max_answer_bytes: reach_answer_max_bytes,
    target,
    status_suffices: true,
  });
  const words = `reached; HTTP ${status} to OPTIONS`;
  const cure = "state the final URL as webhook_url";
  if (wasRedirected) {
    const where = redirect ?? "redirects are not followed; reason of webhook_failed in the log says where it points";
    return warn(`${words}; the last webhook was answered with HTTP ${last_status}; ${where}: ${cure}`);
  }
  const wasTaken = last_status !== null && isTaken(last_status);
  return redirect === null || wasTaken ? ok(words) : warn(`${words}, ${redirect}: ${cure}`);
}

function isTaken(status: number): boolean {
  return status >= 200 && status < 300;
}

/** Looks whether public_url leads to a running Ocrch. */
export async function examinePublicUrl({ config, outbound, world }: ReachNeeds): Promise<Check[]> {
  const { public_url } = config.server;
  if (public_url === null) return [];
  const check = await runCheck(world, hostOf(public_url), "public_url", async () => {
    const answer = await outbound.send({
      method: "GET",
      url: `${public_url}/health`,
      headers: {},
      body: null,
      timeout_ms: reach_timeout_ms,
      max_answer_bytes: reach_answer_max_bytes,
      target: "trusted",
    });
    const isOurs = answer.status === http_ok && /"status"\s*:/.test(answer.text);
    if (!isOurs) {
      return warn(
        `HTTP ${answer.status} to /health, not as Ocrch answers; start the server, or correct server.public_url`,
      );
    }
    return public_url.startsWith("https:")
      ? ok("leads to a running ocrch")
      : warn("leads to a running ocrch, but not over https; put a TLS proxy in front");
  });
  // The server may be stopped on purpose.
  return [check.verdict === "fail" ? { ...check, verdict: "warn" } : check];
}

function hostOf(url: string): string {
  return new URL(url).host;
}
