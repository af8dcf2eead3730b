// The settings of [opencharge]: who this appliance is on the network, whom it believes and what it sells there. Holds
// the paths of secret keys, and the keys themselves only once they were read.

declare module "../../config/config.ts" {
  interface Config {
    /** Null, or absent, without an [opencharge] section: the network does not exist then. */
    opencharge?: OpenchargeSettings | null;
  }
}

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

/** What was agreed with one participant. */
export interface Partner {
  ocid: number;
  /** Currencies that count as one in its proofs. */
  same_currencies: readonly string[];
  /** Whom our proofs to it name as paid. */
  proof_recipient: "merchant" | "gateway";
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
  /** Who says what an order costs: the catalogue, the shop's own backend, whoever asks. */
  orders: "catalog" | "approval" | "open";
  /** How an order is spelled to be signed: as its caller spells, in the one form that covers all, or without items. */
  order_form: "mirror" | "recursive" | "flat";
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
  partners: readonly Partner[];
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
