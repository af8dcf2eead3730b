// The values that requests and answers are made of: closed lists, each under its name in the API description, and the
// forms of ids, amounts and times.

import { z } from "zod";
import { chainIds, coins } from "../domain/assets.ts";
import { type EventType, eventTypes } from "../domain/events.ts";
import { orderStatuses } from "../domain/order.ts";
import { claimStatuses, type EntryReason, entryReasons, transferStatuses } from "../domain/payment.ts";

export const chain = z.enum(chainIds).meta({ id: "Chain" });
export const coin = z.enum(coins).meta({ id: "Coin" });
export const orderStatus = z.enum(orderStatuses).meta({ id: "OrderStatus" });
export const transferStatus = z.enum(transferStatuses).meta({ id: "TransferStatus" });
export const claimStatus = z.enum(claimStatuses).meta({ id: "ClaimStatus" });
export const inboxReason = z.enum(Object.keys(entryReasons) as EntryReason[]).meta({ id: "InboxReason" });
export const eventType = z.enum(Object.keys(eventTypes) as EventType[]).meta({ id: "EventType" });

export const uuid = z.string().meta({ format: "uuid" });
export const integer = z.int().nonnegative();
export const seconds = integer.meta({ description: "Unix time in seconds." });
/** Decimal text. */
export const amount = z.string().regex(/^\d+(\.\d+)?$/);
export const jsonObject = z.record(z.string(), z.unknown());

/** Unix time in whole seconds, from ms. */
export function secondsOf(ms: number): number {
  return Math.floor(ms / 1000);
}

/** The same; null for null or undefined. */
export function secondsOrNull(ms: number | null | undefined): number | null {
  return ms === null || ms === undefined ? null : secondsOf(ms);
}
