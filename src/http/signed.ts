// Who may call the Service and the User API: HMAC signatures over a body or over a checkout URL, checked in the one
// order clients rely on. Reads secrets only from the live settings and never logs a header.

import { createHash } from "node:crypto";
import { type Config, type LiveConfig, merchantSecrets } from "../config/config.ts";
import { Fault } from "../domain/errors.ts";
import { parseJson, readUtf8 } from "../wire/json.ts";
import { isWebhookEvent } from "../wire/requests.ts";
import {
  decodeSignature,
  headerText,
  isFresh,
  parseSignatureHeader,
  verifyBody,
  verifyUrl,
} from "../wire/signature.ts";
import { originOf } from "../wire/url-scope.ts";
import type { World } from "../world.ts";
import type { ReadBody } from "./body.ts";

/** Carries the signature of a Service or User request. */
export const signature_header = "Ocrch-Signature";
const signed_url_header = "Ocrch-Signed-Url";

/** A body whose signature was verified. */
export interface SignedBody {
  json: unknown;
  /** Hex SHA-256 of the body. */
  body_hash: string;
  /** Timestamp and hex SHA-256 of `{timestamp}.{body}`: the same for every spelling of the same signed request. */
  replay_key: string;
  /** ms; when the signature stops being fresh. */
  fresh_until: number;
}

export interface Signed {
  /**
   * Verifies a Service request. Faults, in this order: missing_signature, malformed_body_signature, unreadable_body,
   * invalid_signature_encoding, signature_mismatch, invalid_json_body; signature_mismatch again for a webhook of ours
   * that was sent back.
   */
  body(request: Request): Promise<SignedBody>;
  /**
   * Verifies a User request and returns the signed URL. `query` may stand in for the headers. Faults, in this order:
   * missing_signature, malformed_url_signature, invalid_signature_encoding, missing_signed_url, signature_mismatch,
   * signature_expired, malformed_url_signature, origin_not_allowed.
   */
  url(request: Request, query?: URLSearchParams): string;
}

/** The two signature schemes over the live settings and the wall clock. */
export function createSigned(needs: { world: World; config: LiveConfig; readBody: ReadBody }): Signed {
  const { world, config, readBody } = needs;
  const mismatch = (why: string) => new Fault("signature_mismatch", undefined, undefined, why);
  const stale = (timestamp: string, { signature_window_ms }: Config["server"]) => {
    const age_s = Math.round(world.now() / 1000) - Number(timestamp);
    const when = age_s < 0 ? `${-age_s} s in the future` : `${age_s} s old`;
    return `the signature fits and is ${when}; ${signature_window_ms / 1000} s are allowed: compare the clocks`;
  };
  return {
    async body(request) {
      const header = request.headers.get(signature_header);
      if (header === null) throw new Fault("missing_signature");
      const parsed = parseSignatureHeader(header);
      if (parsed === null) throw new Fault("malformed_body_signature");
      const body = await readBody(request);
      const text = readUtf8(body);
      if (text === null) throw new Fault("unreadable_body");
      const signature = decodeSignature(parsed.encoded);
      if (signature === null) throw new Fault("invalid_signature_encoding");
      const settings = config.current();
      const { server } = settings;
      const { timestamp } = parsed;
      const isSigned = merchantSecrets(settings).some((secret) => verifyBody(secret, timestamp, body, signature));
      if (!isSigned) throw mismatch("merchant.secret makes another signature of this timestamp and body");
      if (!isFresh(timestamp, world.now(), server.signature_window_ms)) throw mismatch(stale(timestamp, server));
      const json = parseJson(text);
      if (isWebhookEvent(json)) throw mismatch("a webhook of ours that was sent back");

      return {
        json,
        body_hash: createHash("sha256").update(body).digest("hex"),
        // The timestamp leads, so that keys of one time lie together in their index: half as many creations again.
        replay_key: `${timestamp}.${createHash("sha256").update(`${timestamp}.`).update(body).digest("hex")}`,
        fresh_until: Number(timestamp) * 1000 + server.signature_window_ms,
      };
    },

    url(request, query) {
      // A plus that was not percent-encoded arrives as a space.
      const header = request.headers.get(signature_header) ?? query?.get("signature")?.replaceAll(" ", "+") ?? null;
      if (header === null) throw new Fault("missing_signature");
      const parsed = parseSignatureHeader(header);
      if (parsed === null) throw new Fault("malformed_url_signature");
      const signature = decodeSignature(parsed.encoded);
      if (signature === null) throw new Fault("invalid_signature_encoding");
      const sent = request.headers.get(signed_url_header);
      const url = sent === null ? (query?.get("signed_url") ?? null) : headerText(sent);
      if (url === null) throw new Fault(sent === null ? "missing_signed_url" : "malformed_url_signature");
      const settings = config.current();
      const { merchant, server } = settings;
      const { timestamp } = parsed;
      const isSigned = merchantSecrets(settings).some((secret) => verifyUrl(secret, url, timestamp, signature));
      if (!isSigned) throw mismatch("merchant.secret makes another signature of this URL and timestamp");
      if (!isFresh(timestamp, world.now(), server.signature_window_ms)) {
        throw new Fault("signature_expired", undefined, undefined, stale(timestamp, server));
      }
      const origin = originOf(url);
      if (origin === null) throw new Fault("malformed_url_signature");
      if (!merchant.allowed_origins.includes(origin)) {
        throw new Fault("origin_not_allowed", undefined, undefined, `merchant.allowed_origins has no ${origin}`);
      }
      return url;
    },
  };
}
