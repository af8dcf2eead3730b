// The [opencharge] section: who this appliance is on the network, whom it believes and what it sells there. Holds the
// path of the secret key, never the key; which of its settings fit together is said here too.

import { resolve } from "node:path";
import * as z from "zod";
import { isAmount } from "../domain/money.ts";
import * as value from "./values.ts";
import { refuse, table } from "./values.ts";

/** All of them are worth one US dollar: an order's amount is its price in any of them. */
const currencies = ["USD", "USDT", "USDC", "DAI"] as const;
/** Who says what an order costs: the catalogue, the shop's own backend, whoever asks. */
const pricing = ["catalog", "approval", "open"] as const;
const time_max_s = 99_999_999_999;
const most_items = 1000;
const public_key_pattern = /^(?:0x)?(?:[\da-f]{128}|04[\da-f]{128}|0[23][\da-f]{64})$/i;
const contract_pattern = /^0x[\da-f]{40}$/i;
const not_asked = 'not used; it belongs to orders = "approval"';
const item_id_pattern = /^[\x21-\x7e]{1,256}$/;
/** Every address of the network's API lies below it. */
export const opencharge_path = "/opencharge";

export interface CatalogItem {
  id: string;
  name: string;
  price: string;
  description: string | null;
  /** How many there are; null: enough. */
  quantity: number | null;
  min_qty: number;
  max_qty: number | null;
  images: readonly string[];
  url: string | null;
}

/** An identity the operator vouches for: where its metadata is, or its key itself. */
export interface PinnedIdentity {
  ocid: number;
  metadata_url: string | null;
  public_key: string | null;
  endpoint: string | null;
}

export interface Registry {
  rpc_url: string;
  chain_id: number;
  address: string;
}

export interface OpenchargeKey {
  /** 64 hexadecimal digits. */
  secret_key: string;
  /** The key before, and when it was replaced (seconds). */
  previous: { secret_key: string; rotated_at: number } | null;
}

export interface OpenchargeSettings extends OpenchargeKey {
  merchant_ocid: number | null;
  gateway_ocid: number | null;
  /** The gateway's own key; null: one key signs for both. */
  gateway_key: OpenchargeKey | null;
  /** Base of all paths as others reach it, without a trailing slash; ends in `/opencharge`. */
  endpoint: string;
  name: string;
  description: string | null;
  icon: string | null;
  contact: string | null;
  /** Issuers whose proofs pay the merchant, its own gateway among them. */
  accepts: readonly number[];
  currencies: readonly string[];
  orders: (typeof pricing)[number];
  /** Where the shop's backend approves and prices orders; never null where `orders` is approval. */
  approval_url: string | null;
  /** Callers whose orders the backend is asked about; empty: everybody's. */
  approved: readonly number[];
  blocked: readonly number[];
  /** Merchants beside our own whose checkouts this gateway hosts: their money arrives in these wallets. */
  merchants: readonly number[];
  completed_url: string | null;
  cancelled_url: string | null;
  /** Told about orders made over the network; null: nobody is. */
  webhook_url: string | null;
  require_signed_config: boolean;
  items: readonly CatalogItem[];
  pinned: readonly PinnedIdentity[];
  registry: Registry | null;
}

/** Where a key is, and the one before it. Paths are absolute. */
export interface KeyFiles {
  private_key_file: string | null;
  previous: { key_file: string; rotated_at: number } | null;
}

/** The section before its keys were read: where they are. */
export type OpenchargeDraft = Omit<OpenchargeSettings, "secret_key" | "previous" | "gateway_key"> &
  KeyFiles & { gateway_key: KeyFiles | null };

const ocid = value.whole(1);
const ocids = z.array(ocid);
const amount = z
  .string({ error: () => 'expected an amount in quotes, such as "5.00"' })
  .refine(isAmount, { error: 'no amount; write it like "5" or "5.00"' });

const item = table({
  id: z.string().refine((text) => item_id_pattern.test(text), { error: "must be 1 to 256 characters without blanks" }),
  name: value.filled,
  price: amount,
  description: z.string().optional(),
  quantity: value.whole(0).optional(),
  min_qty: value.whole(1).default(1),
  max_qty: value.whole(1).optional(),
  images: z.array(value.webAddress).default([]),
  url: value.webAddress.optional(),
});

const pinned = table({
  ocid,
  metadata_url: value.webAddress.optional(),
  public_key: z
    .string()
    .refine((text) => public_key_pattern.test(text), { error: "no public key; expected 128 hexadecimal digits" })
    .optional(),
  endpoint: value.webAddress.optional(),
}).superRefine((entry, context) => {
  if ((entry.metadata_url === undefined) === (entry.public_key === undefined))
    refuse(context, "write either metadata_url, or public_key with endpoint");
});

const registry = table({
  rpc_url: value.webAddress,
  chain_id: value.whole(1),
  address: z.string().refine((text) => contract_pattern.test(text), {
    error: "no contract address; expected 0x and 40 hexadecimal digits",
  }),
});

const keyFiles = {
  private_key_file: value.filled.optional(),
  previous_key_file: value.filled.optional(),
  key_rotated_at: value.whole(1, time_max_s).optional(),
};
const gatewayKey = table({ ...keyFiles, private_key_file: value.filled }).superRefine(checkRotation);

function checkRotation(keys: z.output<z.ZodObject<typeof keyFiles>>, context: z.core.$RefinementCtx): void {
  if ((keys.previous_key_file === undefined) !== (keys.key_rotated_at === undefined))
    refuse(context, "previous_key_file and key_rotated_at (Unix seconds) go together", ["key_rotated_at"]);
}

/** The keys of `[opencharge]`. */
export const openchargeSchema = table({
  merchant_ocid: ocid.optional(),
  gateway_ocid: ocid.optional(),
  ...keyFiles,
  gateway_key: gatewayKey.optional(),
  endpoint: value.publicUrl
    .refine((url) => url.endsWith(opencharge_path), { error: `must end in ${opencharge_path}` })
    .optional(),
  name: value.filled.optional(),
  description: value.filled.optional(),
  icon: value.webAddress.optional(),
  contact: value.filled.optional(),
  accepts: ocids.default([]),
  currencies: z
    .array(value.word(currencies))
    .refine((list) => list.length > 0, { error: "empty; remove the key or list a currency" })
    .default(["USD"]),
  orders: value.word(pricing).optional(),
  approval_url: value.webAddress.optional(),
  approved: ocids.default([]),
  blocked: ocids.default([]),
  merchants: ocids.default([]),
  completed_url: value.webAddress.optional(),
  cancelled_url: value.webAddress.optional(),
  webhook_url: value.webAddress.optional(),
  require_signed_config: z.boolean().default(false),
  items: z.array(item).max(most_items).default([]),
  pinned: z.array(pinned).default([]),
  registry: registry.optional(),
}).superRefine((section, context) => {
  const say = (key: string, words: string) => refuse(context, words, [key]);
  if (section.merchant_ocid === undefined && section.gateway_ocid === undefined)
    say("merchant_ocid", "missing; add merchant_ocid, gateway_ocid or both");
  if (section.merchant_ocid !== undefined && section.orders === undefined)
    say("orders", 'missing; add orders = "catalog", "approval" or "open": who says what an order costs');
  if (section.orders === "approval" && section.approval_url === undefined)
    say(
      "approval_url",
      'missing; add the address of your backend that approves and prices, or write orders = "catalog"',
    );
  checkRotation(section, context);
  if (section.gateway_key !== undefined && (section.merchant_ocid === undefined || section.gateway_ocid === undefined))
    say("gateway_key", "needs merchant_ocid and gateway_ocid; with one of them private_key_file is its key");
  for (const [name, ids] of [
    ["items", section.items.map((entry) => entry.id)],
    ["pinned", section.pinned.map((entry) => entry.ocid)],
  ] as const) {
    if (new Set<unknown>(ids).size < ids.length) say(name, "lists one id twice; remove one");
  }
});

type Section = z.output<typeof openchargeSchema>;

/** The section as settings, its key files still unread. `around` is what the rest of the file says; `folder` where it stands. */
export function buildOpencharge(
  section: Section | undefined,
  around: { shop: string; public_url: string | undefined },
  folder: string,
): OpenchargeDraft | null | "no_endpoint" {
  if (section === undefined) return null;
  const { public_url } = around;
  const endpoint = section.endpoint ?? (public_url === undefined ? undefined : `${public_url}${opencharge_path}`);
  if (endpoint === undefined) return "no_endpoint";
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
    registry: section.registry ?? null,
  };
}

function filesOf(keys: z.output<z.ZodObject<typeof keyFiles>>, folder: string): KeyFiles {
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
export function openchargeWarnings(network: OpenchargeDraft | null): string[] {
  if (network === null) return [];
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
