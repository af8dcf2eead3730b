// The page a payer meets: choose a coin, see address and amount, be told. Plain HTML that asks again by itself; it runs
// no script, and every text of somebody else is escaped.

import { createHash } from "node:crypto";

const address_group_chars = 4;
/** Seconds until the page asks again while a payment is awaited, and until it goes on once all is said. */
const asks_again_s = 5;
const goes_on_s = 4;

const style = `
:root { color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif; }
body { max-width: 30rem; margin: 8vh auto; padding: 0 1.2rem; }
h1 { font-size: 1.15rem; font-weight: 600; margin: 0; }
.price { font-size: 2rem; margin: 0.2rem 0 1.6rem; font-variant-numeric: tabular-nums; }
.label { font-size: 0.85rem; opacity: 0.7; margin: 1.2rem 0 0.2rem; }
.exact { font: 1.1rem/1.6 ui-monospace, monospace; user-select: all; overflow-wrap: anywhere; margin: 0; }
.exact span { display: inline-block; padding-right: 0.45ch; }
.note { border-left: 3px solid; padding-left: 0.8rem; margin: 1.6rem 0; }
form { display: grid; gap: 0.6rem; margin: 1.2rem 0; }
button { font: inherit; padding: 0.8rem; border: 1px solid; border-radius: 0.5rem; background: none; color: inherit; cursor: pointer; }
button:hover, button:focus-visible { outline: 2px solid; }
.quiet { border: 0; opacity: 0.75; text-decoration: underline; }
`;

const style_hash = createHash("sha256").update(style).digest("base64");

/** Headers of every page: nothing is loaded, embedded or run; forms go back to where they came from. */
export const pageHeaders = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": `default-src 'none'; style-src 'sha256-${style_hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  "x-frame-options": "DENY",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
} as const;

export interface Choice {
  /** What the form sends, e.g. `eth.USDT`. */
  value: string;
  coin: string;
  /** The chain's name for people. */
  chain: string;
}

export interface AwaitedPayment {
  coin: string;
  chain: string;
  address: string;
  amount: string;
  /** Whether a transfer was seen that is not final yet. */
  seen: boolean;
}

interface Head {
  merchant: string;
  amount: string;
  currency: string;
  /** What has come in of an order that asks for more, and what is still due of it; null before anything came. */
  so_far: { received: string; due: string } | null;
}

/** What the page is about; times in seconds from now. */
export type PageView = Head &
  (
    | { state: "choosing"; choices: readonly Choice[]; problem: string | null; ends_in_s: number }
    | { state: "awaiting"; awaited: AwaitedPayment; has_choice: boolean; ends_in_s: number }
    | { state: "paid" | "expired" | "cancelled"; next: string | null }
  );

/** The page as HTML. */
export function checkoutPage(view: PageView): string {
  const { merchant, amount, currency } = view;
  const refresh = refreshOf(view);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
${refresh === null ? "" : `<meta http-equiv="refresh" content="${escaped(refresh)}">\n`}<title>${escaped(`${amount} ${currency} to ${merchant}`)}</title>
<style>${style}</style>
</head>
<body>
<h1>${escaped(merchant)}</h1>
<p class="price">${escaped(amount)} ${escaped(currency)}</p>
<main>
${bodyOf(view)}
</main>
</body>
</html>
`;
}

/** The page for an address that stands for no checkout. */
export function missingPage(): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>No such checkout</title><style>${style}</style></head>
<body><h1>No such checkout</h1><p>The address is incomplete or wrong. Go back to the shop and try again.</p></body>
</html>
`;
}

/** The page for an address that asked too often; it asks again by itself, after so many seconds. */
export function busyPage(retry_after_s: number): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta http-equiv="refresh" content="${retry_after_s}"><title>One moment</title><style>${style}</style></head>
<body><h1>One moment</h1><p>Too many requests came from your network. This page asks again by itself; what you paid is safe.</p></body>
</html>
`;
}

function refreshOf(view: PageView): string | null {
  if (view.state === "choosing") return String(Math.max(1, view.ends_in_s + 1));
  if (view.state === "awaiting") return String(asks_again_s);
  return view.next === null ? null : `${goes_on_s}; url=${view.next}`;
}

function bodyOf(view: PageView): string {
  switch (view.state) {
    case "choosing":
      return choosing(view);
    case "awaiting":
      return awaiting(view);
    case "paid":
      return `<p role="status">Paid. Thank you.</p>\n${goOn(view.next)}`;
    case "expired":
      return `<p role="status">The time to pay is over. If you have sent money, the shop will find it.</p>\n${goOn(view.next)}`;
    case "cancelled":
      return `<p role="status">Cancelled. Do not send anything.</p>\n${goOn(view.next)}`;
  }
}

function choosing({ choices, problem, so_far, currency }: Extract<PageView, { state: "choosing" }>): string {
  const buttons = choices.map(
    ({ value, coin, chain }) =>
      `<button name="pay" value="${escaped(value)}">${escaped(coin)} on ${escaped(chain)}</button>`,
  );
  return `${problem === null ? "" : `<p class="note" role="alert">${escaped(problem)}</p>\n`}${soFar(so_far, currency)}<p>Choose what to pay ${so_far === null ? "" : "the rest "}with.</p>
<form method="post">
${buttons.join("\n")}
${cancelButton(so_far)}</form>`;
}

function awaiting({
  awaited,
  has_choice,
  ends_in_s,
  so_far,
  currency,
}: Extract<PageView, { state: "awaiting" }>): string {
  const { coin, chain, address, amount, seen } = awaited;
  if (seen) return `<p role="status">Your payment was seen on ${escaped(chain)}. It counts in a moment.</p>`;
  if (ends_in_s <= 0)
    return `<p role="status">The time to pay is over. Do not send anything now; what was sent before still counts.</p>`;
  return `${soFar(so_far, currency)}<p class="label">Send exactly</p>
<p class="exact">${escaped(amount)}</p>
<p class="label">in</p>
<p>${escaped(coin)} on ${escaped(chain)}</p>
<p class="label">to</p>
<p class="exact">${groups(address)}</p>
<p class="note">Another amount, coin or network cannot be matched to your order. Fees come on top.</p>
<p role="status">Waiting for your payment, ${minutes(ends_in_s)} more.</p>
<form method="post">
${has_choice ? '<button class="quiet" name="other" value="yes">Pay with another coin</button>\n' : ""}${cancelButton(so_far)}</form>`;
}

function soFar(so_far: Head["so_far"], currency: string): string {
  if (so_far === null) return "";
  return `<p>${escaped(so_far.received)} ${escaped(currency)} was received, ${escaped(so_far.due)} ${escaped(currency)} is still due.</p>\n`;
}

/** None once money has come in: cancelled, it would have paid for nothing. */
function cancelButton(so_far: Head["so_far"]): string {
  return so_far === null ? '<button class="quiet" name="cancel" value="yes">Cancel</button>\n' : "";
}

/** Told before it is followed: the address came with a request, and the payer should know where it leads. */
function goOn(next: string | null): string {
  return next === null ? "" : `<p><a href="${escaped(next)}">Continue to ${escaped(new URL(next).host)}</a></p>`;
}

function minutes(seconds: number): string {
  const whole = Math.ceil(seconds / 60);
  return whole === 1 ? "1 minute" : `${whole} minutes`;
}

/** Easier to compare by eye; copied, it is still one word. */
function groups(address: string): string {
  const parts = address.match(new RegExp(`.{1,${address_group_chars}}`, "g")) ?? [];
  return parts.map((part) => `<span>${escaped(part)}</span>`).join("");
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}
