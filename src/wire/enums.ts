// The closed lists of words that requests and answers choose from, each one schema under the name that the API
// description and clients generated from it give it.

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
