// What orders of the Opencharge network are called among a shop's own. Strangers choose the ids of theirs, so they stand
// under names that no shop gives its own orders: whoever ships by the name ships nothing for them by mistake.

/** An order that our merchant signed: `opencharge:500:ord_1`. */
export function networkOrderName(merchant: number, id: string): string {
  return `opencharge:${merchant}:${id}`;
}

/** A page on which an order of the network is paid: `opencharge-page:500:ord_1`. */
export function networkPageName(merchant: number, id: string): string {
  return `opencharge-page:${merchant}:${id}`;
}
