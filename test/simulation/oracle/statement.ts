// What is said of a payment when it is sent, before the product has seen it: whose money it is by the will of its
// payer, which order it must pay, which others it may pay, or that none may. Knows what payers were told and what was
// sent before; never looks at the product.

import type { SimTransfer } from "../chain.ts";
import type { SimChainId } from "../scenery.ts";
import type { BookOrder, Detail, Stage, Statement } from "../stage.ts";
import { isCut, isDust, isFeeShortened, isWithin, mostOver } from "./amounts.ts";
import { isNamedWallet } from "./facts.ts";

interface Intended {
  kind: string;
  detail: Detail | null;
  chain: SimChainId;
  transfer: SimTransfer;
  success: boolean;
}

/** States what a payment is to do, by what everybody knows when it is sent. */
export function stateOf(stage: Stage, { kind, detail, chain, transfer, success }: Intended): Statement {
  const meant = detail?.order ?? null;
  const say = (rule: Statement["rule"], must: BookOrder | null = null, may: readonly Detail[] = []): Statement => ({
    meant,
    rule,
    must,
    may: new Set(may.map(({ order }) => order.id)),
  });
  const { sender, units } = transfer;
  const token = stage.scenery.tokens.find((one) => one.chain === chain && one.address === transfer.token);
  if (!success || units === 0n || token === undefined || token.coin === null) return say("nobody");
  if (isNamedWallet(stage, sender)) return say("nobody");

  const all = [...stage.orders.values()].flatMap((order) => order.details);
  const here = all.filter(
    (one) => one.chain === chain && one.wallet === transfer.wallet && one.token.coin === token.coin,
  );
  const exact = here.filter((one) => one.units === units);
  // What is left of an order belongs to it, whoever has asked for that amount since.
  if (kind === "rest" && detail !== null && !isKnownElsewhere(stage, detail, sender)) {
    return say("remainder", detail.order, [...here.filter((one) => one.order === detail.order), ...exact]);
  }
  const asked = exact.findLast(({ order }) => order.sender === null || order.sender === sender);
  if (asked !== undefined) return say("exact", asked.order);
  if (isDust(units, token.decimals)) return say("dust");

  const begun = (one: Detail, by?: string) =>
    stage.payments.some(
      ({ statement, transfer }) =>
        (statement.must === one.order || statement.may.has(one.order.id) || statement.meant === one.order) &&
        (by === undefined || transfer.sender === by),
    );
  const isOwn = (one: Detail) => one.order.sender === sender || (one.order.sender === null && begun(one, sender));
  const accepts = ({ order }: Detail) => order.sender === null || order.sender === sender;
  const { underpaid, overpaid } = stage.rules.written();
  const most = (one: Detail) => mostOver(one.units, overpaid, token.decimals);
  const isTolerated = (one: Detail) => isWithin(units, one.units, underpaid, token.decimals);
  const fits = (one: Detail) =>
    isOwn(one) || (accepts(one) && isTolerated(one))
      ? units <= most(one)
      : accepts(one) && (begun(one) || one.units < units) && units <= most(one);
  const [only] = here;
  const isAlone =
    only !== undefined && new Set(here.map(({ order }) => order)).size === 1 && !isKnownElsewhere(stage, only, sender);
  const hasOther = stage.payments.some(({ kind, statement }) => kind !== "parts" && statement.meant === only?.order);
  if (kind === "parts" && isAlone && only.order === meant && accepts(only) && !hasOther && only.order.sender === null) {
    return say("clear split", null, [only]);
  }
  const may = here.filter(fits);
  if (exact.length > 0) return say("other sender", null, may.filter(isOwn));
  if (may.length === 0) return say("nobody");
  const looksLike = (one: Detail) =>
    isTolerated(one) ||
    isCut(units, one.units, token.decimals) ||
    isFeeShortened(units, one.units, token.decimals) ||
    (units > one.units && units <= most(one));
  const [near, ...others] = here.filter(looksLike);
  const isOnlyNear = near !== undefined && others.every(({ order }) => order === near.order);
  if (isOnlyNear && isTolerated(near) && accepts(near) && !begun(near) && !isKnownElsewhere(stage, near, sender)) {
    return say("clear tolerance", near.order, may);
  }

  if (!isAlone || begun(only)) return say("open", null, may);
  if (only.order.sender === sender && units < only.units) return say("clear part", only.order, may);
  if (accepts(only) && units > only.units && units <= most(only)) return say("clear overpayment", only.order, may);
  return say("open", null, may);
}

/** True when a sender could mean another order than this one, wherever. */
function isKnownElsewhere(stage: Stage, { order }: Detail, sender: string): boolean {
  const others = [...stage.orders.values()].filter((one) => one !== order);
  return (
    others.some((one) => one.sender === sender || one.payer === sender) ||
    stage.payments.some(({ transfer, statement }) => transfer.sender === sender && statement.meant !== order)
  );
}
