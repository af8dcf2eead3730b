// Whether logged events carry what the row of their type says.

import type { Database as Sqlite } from "bun:sqlite";
import { type EventType, eventTypes } from "../../src/domain/events.ts";
import { payloads } from "../../src/wire/events.ts";

/** Events whose body has a missing, unknown or wrong field, each in words. */
export function misfits(raw: Sqlite): string[] {
  return raw
    .query<{ n: number; type: EventType; body: string }, []>("SELECT n, type, body FROM events")
    .all()
    .flatMap(({ n, type, body }) => (isPayloadOf(type, body) ? [] : [`event ${n}, ${type}: ${body}`]));
}

/** Whether `body` is what the events of this type carry, and nothing beside it. */
export function isPayloadOf(type: EventType, body: string): boolean {
  const data = JSON.parse(body);
  const parsed = payloads[eventTypes[type].payload].safeParse(data);
  return parsed.success && Bun.deepEquals(parsed.data, data, true);
}
