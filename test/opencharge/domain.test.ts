// Rules of the Opencharge network that look at nothing: words for proofs, and how long an old key is announced.

import { expect, test } from "bun:test";
import { proofRetryDelay } from "../../src/domain/events.ts";
import { proofOutcomes, proofWords } from "../../src/opencharge/domain/proof.ts";
import { isAnnounced } from "../../src/opencharge/domain/rotation.ts";

test("what became of a proof is said in words", () => {
  expect(proofOutcomes.map((outcome) => proofWords(outcome, false))).toEqual([
    "it paid the order",
    "the order was paid or cancelled before",
    "no order has this reference",
  ]);
  expect(proofWords("unmatched", true)).toBe("the payment had expired or was settled before");
});

test("a key of ours that was replaced is announced for longer than a proof may be on its way", () => {
  const longest_attempt_ms = 60_000;
  let [attempts, waits_ms] = [1, 0];
  for (let delay = proofRetryDelay(1); delay !== null; delay = proofRetryDelay(++attempts)) waits_ms += delay;
  const rotated_at = 1_790_000_000;
  const given_up_ms = rotated_at * 1000 + waits_ms + attempts * longest_attempt_ms;
  expect(isAnnounced(rotated_at, given_up_ms)).toBe(true);
  expect(isAnnounced(rotated_at, given_up_ms + 24 * 3_600_000)).toBe(false);
});
