// What the [opencharge] section of the file may hold, key by key, and which of its keys go together. Reads no key file.

import * as z from "zod";
import * as value from "../../config/values.ts";
import { reportProblem, tomlTable } from "../../config/values.ts";
import { coins } from "../../domain/assets.ts";
import { isAmount } from "../../domain/money.ts";
import { opencharge_path } from "./settings.ts";

/** All of them are worth one US dollar: an order's amount is its price in any of them. */
const currencies = ["USD", ...coins] as const;
const pricing = ["catalog", "approval", "open"] as const;
const order_forms = ["mirror", "recursive", "flat"] as const;
const recipients = ["merchant", "gateway"] as const;
const currency_pattern = /^[A-Z0-9]{2,10}$/;
const time_max_s = 99_999_999_999;
const most_items = 1000;
const public_key_pattern = /^(?:0x)?(?:[\da-f]{128}|04[\da-f]{128}|0[23][\da-f]{64})$/i;
const contract_pattern = /^0x[\da-f]{40}$/i;
const item_id_pattern = /^[\x21-\x7e]{1,256}$/;

const ocid = value.integerBetween(1);
const ocids = z.array(ocid);
const amount = z
  .string({ error: () => 'expected an amount in quotes, such as "5.00"' })
  .refine(isAmount, { error: 'no amount; write it like "5" or "5.00"' });

const item = tomlTable({
  id: z.string().refine((text) => item_id_pattern.test(text), { error: "must be 1 to 256 characters without blanks" }),
  name: value.nonEmptyText,
  price: amount,
  description: z.string().optional(),
  quantity: value.integerBetween(0).optional(),
  min_qty: value.integerBetween(1).default(1),
  max_qty: value.integerBetween(1).optional(),
  images: z.array(value.webAddress).default([]),
  url: value.webAddress.optional(),
});

const pinned = tomlTable({
  ocid,
  metadata_url: value.webAddress.optional(),
  public_key: z
    .string()
    .refine((text) => public_key_pattern.test(text), { error: "no public key; expected 128 hexadecimal digits" })
    .optional(),
  endpoint: value.webAddress.optional(),
}).superRefine((entry, context) => {
  if ((entry.metadata_url === undefined) === (entry.public_key === undefined))
    reportProblem(context, "write either metadata_url, or public_key with endpoint");
});

const partner = tomlTable({
  ocid,
  same_currencies: z
    .array(
      z.string().refine((text) => currency_pattern.test(text), { error: 'no currency; write it like "USD" or "USDT"' }),
    )
    .default([]),
  proof_recipient: value.oneOf(recipients).default("merchant"),
});

const registry = tomlTable({
  rpc_url: value.webAddress,
  chain_id: value.integerBetween(1),
  address: z.string().refine((text) => contract_pattern.test(text), {
    error: "no contract address; expected 0x and 40 hexadecimal digits",
  }),
});

const keyFiles = {
  private_key_file: value.nonEmptyText.optional(),
  previous_key_file: value.nonEmptyText.optional(),
  key_rotated_at: value.integerBetween(1, time_max_s).optional(),
};
const gatewayKey = tomlTable({ ...keyFiles, private_key_file: value.nonEmptyText }).superRefine(checkRotation);

function checkRotation(keys: z.output<z.ZodObject<typeof keyFiles>>, context: z.core.$RefinementCtx): void {
  if ((keys.previous_key_file === undefined) !== (keys.key_rotated_at === undefined))
    reportProblem(context, "previous_key_file and key_rotated_at (Unix seconds) go together", ["key_rotated_at"]);
}

/** The keys of `[opencharge]`. */
export const openchargeSchema = tomlTable({
  merchant_ocid: ocid.optional(),
  gateway_ocid: ocid.optional(),
  ...keyFiles,
  gateway_key: gatewayKey.optional(),
  endpoint: value.publicUrl
    .refine((url) => url.endsWith(opencharge_path), { error: `must end in ${opencharge_path}` })
    .optional(),
  name: value.nonEmptyText.optional(),
  description: value.nonEmptyText.optional(),
  icon: value.webAddress.optional(),
  contact: value.nonEmptyText.optional(),
  accepts: ocids.default([]),
  currencies: z
    .array(value.oneOf(currencies))
    .refine((list) => list.length > 0, { error: "empty; remove the key or list a currency" })
    .default(["USD"]),
  orders: value.oneOf(pricing).optional(),
  order_form: value.oneOf(order_forms).default("mirror"),
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
  partners: z.array(partner).default([]),
  registry: registry.optional(),
}).superRefine((section, context) => {
  const say = (key: string, words: string) => reportProblem(context, words, [key]);
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
  else if (section.gateway_key !== undefined && section.merchant_ocid === section.gateway_ocid)
    say("gateway_key", "merchant_ocid and gateway_ocid are one OCID, and an OCID has one key");
  for (const [name, ids] of [
    ["items", section.items.map((entry) => entry.id)],
    ["pinned", section.pinned.map((entry) => entry.ocid)],
    ["partners", section.partners.map((entry) => entry.ocid)],
  ] as const) {
    if (new Set<unknown>(ids).size < ids.length) say(name, "lists one id twice; remove one");
  }
});
