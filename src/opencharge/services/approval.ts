// Asks the shop's own backend whether an order may be signed in its name, and at what price. Never asks inside a
// transaction, never believes an answer that does not add up; what it cannot ask is refused for now, not signed.

import { type LiveConfig, merchantSecrets } from "../../config/config.ts";
import { Fault } from "../../domain/errors.ts";
import type { Outbound } from "../../outbound.ts";
import type { Telemetry } from "../../telemetry.ts";
import { signBody } from "../../wire/signature.ts";
import { standardWebhookHeaders } from "../../wire/standard-webhooks.ts";
import type { World } from "../../world.ts";
import type { OpenchargeSettings } from "../config/settings.ts";
import { type Approval, approvalQuestion, type OrderToApprove, readApproval } from "../wire/approval.ts";
import { type NetworkRefusal, networkRefusal, refuseForNow, refuseSubmitted } from "../wire/errors.ts";
import type { Order } from "../wire/orders.ts";
import type { OrderCreate } from "../wire/readers.ts";
import { parseStrictJson } from "../wire/strict-json.ts";
import { checkStated, isSumOf } from "./pricing.ts";

const approval_timeout_ms = 10_000;
const approval_answer_max_bytes = 64 * 1024;
const approval_retry_s = 5;
const http_ok = 200;

/** What the shop agreed to. */
export type ApprovedTerms = Pick<Order, "amount" | "items" | "reference">;

/**
 * Asks about one order. Refusals: CAPABILITY_NOT_SUPPORTED (the caller is not one the shop is asked about),
 * UNAUTHORIZED (the shop does not want it), AMOUNT_MISMATCH, INTERNAL_ERROR with 503 (no sound answer: again later).
 */
export type AskShop = (
  settings: OpenchargeSettings,
  caller: number,
  wanted: OrderCreate,
  terms: OrderToApprove,
) => Promise<ApprovedTerms | NetworkRefusal>;

/** The question over one way out with the live settings. */
export function createApproval(needs: {
  config: LiveConfig;
  outbound: Outbound;
  world: World;
  telemetry: Telemetry;
}): AskShop {
  const { config, outbound, world, telemetry } = needs;

  function signed(id: string, body: string): Record<string, string> {
    const settings = config.current();
    const now = world.now();
    return {
      "Content-Type": "application/json",
      "Ocrch-Signature": signBody(settings.merchant.secret, body, now, settings.webhooks.signature_padding),
      ...standardWebhookHeaders(merchantSecrets(settings), `ocr_${id}`, body, now),
    };
  }

  /** What the backend said; a text says why that is nothing to go by. */
  async function answerTo(url: string, id: string, body: string): Promise<Approval | string> {
    try {
      const answer = await outbound.send({
        method: "POST",
        url,
        headers: signed(id, body),
        body,
        timeout_ms: approval_timeout_ms,
        max_answer_bytes: approval_answer_max_bytes,
        target: "trusted",
      });
      if (answer.status !== http_ok) return answer.redirect ?? `status ${answer.status}`;
      return answer.cut ? "longer than 64 KiB" : readApproval(parseStrictJson(answer.text));
    } catch (error) {
      if (error instanceof Fault) return error.message;
      throw error;
    }
  }

  return async (settings, caller, wanted, terms) => {
    const { approval_url, approved } = settings;
    if (approval_url === null || (approved.length > 0 && !approved.includes(caller))) {
      return networkRefusal("CAPABILITY_NOT_SUPPORTED");
    }
    const body = JSON.stringify(approvalQuestion(caller, wanted, terms));
    const said = await answerTo(approval_url, terms.id, body);
    const problem = typeof said === "string" ? said : sumProblem(said);
    if (typeof said === "string" || problem !== null) {
      telemetry.warn("opencharge_approval_failed", { order: terms.id, caller, problem });
      return refuseForNow("the shop cannot decide on orders right now", approval_retry_s);
    }
    if (!said.approved)
      return refuseSubmitted("UNAUTHORIZED", { message: said.reason ?? "the shop declines this order" });
    const { amount, reference } = said;
    // Items of the caller's that cost something else are not signed in the shop's name.
    const items = said.items ?? (wanted.items !== null && isSumOf(amount, wanted.items) ? wanted.items : null);
    const agreed = { amount: wanted.amount ?? amount, items, reference: reference ?? wanted.reference };
    return checkStated(wanted.amount, amount) ?? agreed;
  };
}

function sumProblem(said: Approval): string | null {
  if (!said.approved || said.items === null || isSumOf(said.amount, said.items)) return null;
  return "items do not add up to amount";
}
