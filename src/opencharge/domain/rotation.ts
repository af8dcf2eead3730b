// How long a key of ours that was replaced is still spoken of: as long as something it signed may be on its way.

/** A proof is delivered for three days, and a little longer to a receiver that lets us wait; the rest is margin. */
const announced_s = 4 * 24 * 60 * 60;

/** Whether a key replaced at `rotated_at` (seconds) is still announced. */
export function isAnnounced(rotated_at: number, now_ms: number): boolean {
  return now_ms / 1000 <= rotated_at + announced_s;
}
