// The life of an order: its states, the commands that move it, and the one table that says which may.

export const orderStatuses = ["pending", "paid", "expired", "cancelled"] as const;
export type OrderStatus = (typeof orderStatuses)[number];

export const orderCommands = ["pay", "mark_paid", "cancel", "expire"] as const;
export type OrderCommand = (typeof orderCommands)[number];

/** A new status, `same` (nothing to do, and that is fine) or `refuse`. */
export type Outcome = OrderStatus | "same" | "refuse";

/**
 * From state and command to outcome. `pay` is a confirmed transfer that fits: it pays only a pending order;
 * later money goes to the inbox, where `mark_paid` may use it.
 */
const transitions: Record<OrderStatus, Record<OrderCommand, Outcome>> = {
  pending: { pay: "paid", mark_paid: "paid", cancel: "cancelled", expire: "expired" },
  paid: { pay: "refuse", mark_paid: "same", cancel: "refuse", expire: "refuse" },
  expired: { pay: "refuse", mark_paid: "paid", cancel: "refuse", expire: "refuse" },
  cancelled: { pay: "refuse", mark_paid: "paid", cancel: "refuse", expire: "refuse" },
};

/** What a command does to an order in a state. */
export function transition(status: OrderStatus, command: OrderCommand): Outcome {
  return transitions[status][command];
}

/** True for states nothing on chain or by the payer moves any more; only an operator may. */
export function isTerminal(status: OrderStatus): boolean {
  return status !== "pending";
}

/** The transition table as Markdown, as it stands in the manual. */
export function transitionTable(): string {
  const rows = orderStatuses.map((status) => {
    const cells = orderCommands.map((command) => {
      const outcome = transition(status, command);
      return outcome === "refuse" ? "refused" : outcome === "same" ? "no change" : `**${outcome}**`;
    });
    return `| ${[status, ...cells].join(" | ")} |`;
  });
  const heading = `| order is | ${orderCommands.join(" | ")} |`;
  const rule = `|${" --- |".repeat(orderCommands.length + 1)}`;
  return [heading, rule, ...rows].join("\n");
}
