// From the [opencharge] section as it was written and checked to its settings, and what the operator should know about
// them. Pure: key files stay unread.

import { resolve } from "node:path";
import type * as z from "zod";
import type { SectionContext } from "../../config/section.ts";
import type { openchargeSchema } from "./schema.ts";
import { type KeyFiles, type OpenchargeDraft, opencharge_path } from "./settings.ts";

const not_asked = 'not used; it belongs to orders = "approval"';

type Section = z.output<typeof openchargeSchema>;

/** The section as settings, its key files still unread. */
export function buildOpencharge(section: Section, around: SectionContext): OpenchargeDraft {
  const { public_url, folder } = around;
  const endpoint = section.endpoint ?? (public_url === undefined ? undefined : `${public_url}${opencharge_path}`);
  if (endpoint === undefined) throw new Error("a section without an endpoint was to be refused");
  const gateway_ocid = section.gateway_ocid ?? null;
  return {
    merchant_ocid: section.merchant_ocid ?? null,
    gateway_ocid,
    ...filesOf(section, folder),
    gateway_key: section.gateway_key === undefined ? null : filesOf(section.gateway_key, folder),
    endpoint,
    name: section.name ?? around.shop,
    description: section.description ?? null,
    icon: section.icon ?? null,
    contact: section.contact ?? null,
    accepts: [...new Set([...(gateway_ocid === null ? [] : [gateway_ocid]), ...section.accepts])],
    currencies: [...new Set(section.currencies)],
    orders: section.orders ?? "catalog",
    order_form: section.order_form,
    approval_url: section.approval_url ?? null,
    approved: section.approved,
    blocked: section.blocked,
    merchants: section.merchants,
    completed_url: section.completed_url ?? null,
    cancelled_url: section.cancelled_url ?? null,
    webhook_url: section.webhook_url ?? null,
    require_signed_config: section.require_signed_config,
    items: section.items.map((entry) => ({
      ...entry,
      description: entry.description ?? null,
      quantity: entry.quantity ?? null,
      max_qty: entry.max_qty ?? null,
      url: entry.url ?? null,
    })),
    pinned: section.pinned.map((entry) => ({
      ocid: entry.ocid,
      metadata_url: entry.metadata_url ?? null,
      public_key: entry.public_key ?? null,
      endpoint: entry.endpoint ?? null,
    })),
    partners: section.partners,
    registry: section.registry ?? null,
  };
}

function filesOf(
  keys: Partial<Pick<Section, "private_key_file" | "previous_key_file" | "key_rotated_at">>,
  folder: string,
): KeyFiles {
  const { private_key_file, previous_key_file, key_rotated_at } = keys;
  return {
    private_key_file: private_key_file === undefined ? null : resolve(folder, private_key_file),
    previous:
      previous_key_file === undefined || key_rotated_at === undefined
        ? null
        : { key_file: resolve(folder, previous_key_file), rotated_at: key_rotated_at },
  };
}

/** What the operator should know about a sound section, one line each. */
export function openchargeWarnings(network: OpenchargeDraft): string[] {
  const { endpoint, merchant_ocid, orders, items, accepts, approval_url, approved } = network;
  const sells = merchant_ocid !== null;
  return [
    ...(endpoint.startsWith("https:") ? [] : ["opencharge.endpoint: not https; others will refuse to call it"]),
    ...(sells && accepts.length === 0 ? ["opencharge.accepts: empty; no proof can pay an order"] : []),
    ...(sells && orders === "catalog" && items.length === 0 ? ["opencharge.items: empty; nothing can be ordered"] : []),
    ...(orders !== "approval" && approval_url !== null ? [`opencharge.approval_url: ${not_asked}`] : []),
    ...(orders !== "approval" && approved.length > 0 ? [`opencharge.approved: ${not_asked}`] : []),
  ];
}
