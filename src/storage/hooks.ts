// What an extension of the product does inside the core's transactions. A database is opened with its hooks, and every
// transaction and read of it carries them. The core knows no extension.

/** `At` is a read or a transaction, `In` a transaction: `Reader` and `Tx` of storage/database.ts. */
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
