// What an operator may get wrong about the time at which a key of [opencharge] was replaced. A key signs from one moment
// to another, and everybody else goes by that time: what is dated later than it does not count under the old key.

import { isAnnounced } from "../domain/rotation.ts";
import type { OpenchargeKey, OpenchargeSettings } from "./settings.ts";

/** Enough for whoever writes a time ahead of the reload. */
const ahead_max_ms = 60 * 60_000;

/** What to know about the times by themselves, one line each. */
export function rotationWarnings(settings: OpenchargeSettings, now_ms: number): string[] {
  return keysOf(settings).flatMap(({ section, previous }) => {
    if (previous === null) return [];
    const { rotated_at } = previous;
    if (!isAnnounced(rotated_at, now_ms)) {
      return [`${section}.key_rotated_at: days ago; the old key counts no more, so take it out of the file`];
    }
    const is_far = rotated_at * 1000 > now_ms + ahead_max_ms;
    return is_far ? [`${section}.key_rotated_at: far ahead; until then the old key is as good as the new one`] : [];
  });
}

/** Keys that change only now though the file says they did before, one line each: what the old ones signed since then is lost. */
export function lateRotations(
  before: OpenchargeSettings | null,
  after: OpenchargeSettings | null,
  now_ms: number,
): string[] {
  const old = new Map(keysOf(before).map(({ section, secret_key }) => [section, secret_key]));
  return keysOf(after).flatMap(({ section, secret_key, previous }) => {
    const is_late = previous !== null && previous.rotated_at * 1000 < now_ms;
    if (!is_late || previous.secret_key !== old.get(section) || secret_key === previous.secret_key) return [];
    return [
      `${section}.key_rotated_at: before this change; nobody believes what the old key signed since; write a time from now on`,
    ];
  });
}

function keysOf(settings: OpenchargeSettings | null): (OpenchargeKey & { section: string })[] {
  if (settings === null) return [];
  const { gateway_key } = settings;
  return [
    { ...settings, section: "opencharge" },
    ...(gateway_key === null ? [] : [{ ...gateway_key, section: "opencharge.gateway_key" }]),
  ];
}
