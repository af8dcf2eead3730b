// What an address of the network's API is: a method, a path below the endpoint, whose business it is and a handler that
// sees one call. Knows no address by itself.

import type { SignedCaller } from "../services/access.ts";
import type { KeyIdentity } from "../services/identity.ts";
import type { NetworkRefusal } from "../wire/errors.ts";
import type { JsonObject, JsonValue } from "../wire/strict-json.ts";

interface OpenCall {
  identity: KeyIdentity;
  /** The segment that `:id` stands for; empty without one. */
  id: string;
  /** As it came; of a signed call the body is read already. */
  request: Request;
}

interface SignedCall extends OpenCall {
  caller: SignedCaller;
  /** The body of a POST; null for a GET. */
  body: JsonValue;
}

/** What a row answers: 200 with an object, a refusal, or a whole answer of its own (a page, a redirect). */
export type RowAnswer = JsonObject | NetworkRefusal | Response;

export interface RowHead {
  method: "GET" | "POST";
  /** Below the endpoint; a segment may be `:id`. */
  path: string;
  /** Whose business it is: it is refused where that OCID is not configured. */
  role: "merchant" | "gateway" | "both";
  /** What the metadata calls it; null for what is in no list. */
  capability: string | null;
}

/**
 * An address of the network's API. Only `signed` ones know who calls; a signature on an `open` one must hold; `nobody`
 * is for those whom nobody could ask to sign, and may have its own words for who asks too often.
 */
export type OpenchargeRow =
  | (RowHead & {
      auth: "signed";
      /** Each call may leave something here that is kept, so there may be fewer of them. */
      creates?: true;
      handle(call: SignedCall): RowAnswer | Promise<RowAnswer>;
    })
  | (RowHead & { auth: "open"; handle(call: OpenCall): RowAnswer | Promise<RowAnswer> })
  | (RowHead & {
      auth: "nobody";
      handle(call: OpenCall): RowAnswer | Promise<RowAnswer>;
      busy?(retry_after_s: number): Response;
    });
