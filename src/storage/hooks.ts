// What the core asks of an extension of the product. A database is opened with hooks, and each of its transactions and
// reads carries them; deliveries are made with a signer. The core knows no extension.

/** `At` is a read or a transaction, `In` a transaction: `Reader` and `Tx` of storage/engine/database.ts. */
export interface Hooks<At, In> {
  /** An order became paid. Its deposits are closed, its event is not appended yet. */
  orderPaid(tx: In, order_id: string): void;
  /** Pending orders to cancel in the same transaction, because this one was paid or cancelled. */
  dependentOrders(tx: In, order_id: string): string[];
  /** True while an order may still be paid through a dependent one. It does not expire before. */
  isBeingPaid(at: At, order_id: string): boolean;
  /** The id under which an order's payment was proved to others, or null. A reverted payment is logged with it. */
  provedAs(at: At, order_id: string): string | null;
  /** An operator sends an order's webhook again. Its event is appended already. */
  webhookResent(tx: In, order_id: string): void;
}

/** How the signed messages of an extension leave: deliveries of the kind `proof`. */
export interface ProofSigner {
  /** The headers under which a message leaves now, or null: it waits for an identity to sign for. Fault: invalid_request. */
  sign(url: string, body: string): Record<string, string> | null;
  /** What a log line says of a message. */
  about(body: string): Record<string, unknown>;
  /** What a receiver says that took a message and does not want the payment in it; null for every other answer. */
  rejectionIn(answer: string): { message: string | null } | null;
}
