// long, 600 s
// The whole product in simulated worlds, two thousand seeds; and that these worlds are as hostile as they claim.

import { expect, test } from "bun:test";
import { share_s } from "../support/share.ts";
import { simulate } from "./child.ts";

const seeds = 2000;
/** A small world; `simulation-seeds-long` has worlds that last. */
const steps = 60;
const limit_ms = 1_800_000;
/** Enough worlds to see every kind. */
const telling_seeds = 300;

/** What must have happened at least so often in a thousand worlds: a kind that dies out would otherwise go unnoticed. */
const frequent: readonly (readonly [kind: string, times: number])[] = [
  ["payment exact", 3000],
  ["payment exact, late", 500],
  ["payment exact, ended by hand", 500],
  ["payment exact, bound to a sender", 500],
  ["payment short", 200],
  ["payment over", 200],
  ["payment parts", 200],
  ["payment wrong coin", 200],
  ["payment other sender", 100],
  ["payment nothing", 100],
  ["payment exact, failed", 100],
  ["payment stray", 1000],
  ["transaction of several transfers", 400],
  ["transaction from an exchange", 200],
  ["provider lagging", 1000],
  ["provider hiding", 1000],
  ["provider stale", 300],
  ["provider narrow", 1000],
  ["provider small batches", 1000],
  ["provider tagless", 500],
  ["provider throttling", 200],
  ["provider html", 100],
  ["provider empty", 100],
  ["provider cut", 100],
  ["provider down", 1000],
  ["provider hanging", 100],
  ["shop slow", 300],
  ["shop hanging", 300],
  ["shop failing", 300],
  ["shop flaky", 300],
  ["shop refusing", 300],
  ["shop redirecting", 300],
  ["reorganised by 1", 500],
  ["reorganised in a poll, by 2", 200],
  ["reorganised by 3", 200],
  ["reorganised by 5", 10],
  ["reorganised by many", 20],
  ["chain eth", 500],
  ["chain polygon", 500],
  ["chain base", 80],
  ["chain arb", 80],
  ["chain op", 80],
  ["chain linea", 80],
  ["chain avaxc", 80],
  ["chain tron", 80],
  ["died killed", 100],
  ["died stopped", 500],
  ["died commit.before", 50],
  ["died commit.after", 50],
  ["died scan.read", 50],
  ["died delivery.sending", 20],
  ["died delivery.answered", 20],
  ["reload wallets", 300],
  ["reload providers", 100],
  ["reload poll", 50],
  ["reload refused", 50],
  ["action outage", 200],
  ["action long outage", 20],
  ["action stall finality", 100],
  ["action set clock", 200],
  ["action freeze", 500],
  ["action mark paid beside the server", 200],
  ["log chain_rewritten", 500],
  ["inbox assign, 200", 100],
  ["inbox dismiss, 200", 100],
  ["inbox unassign, 200", 10],
  ["claim 200, accepted", 30],
  ["claim 200, in_inbox", 200],
  ["transaction changed by a reorganisation", 30],
  ["restored a generation began", 50],
  ["restored an older copy", 30],
  ["restored an older copy, no file", 10],
  ["read events", 500],
  ["index honest", 10000],
  ["page chosen, 303", 300],
  ["proof of a page", 200],
  ["total orders paid", 1000],
];

test(
  "nothing is lost, paid twice or told wrong in thousands of hostile worlds",
  async () => {
    const where = ["--seeds", String(seeds), "--steps", String(steps), "--workers", "2"];
    const limit = share_s === null ? [] : ["--seconds", String(share_s / 2)];
    const { status, output, times } = await simulate(...where, ...limit);
    expect(output).toContain("no seed failed");
    expect(status).toBe(0);
    const done = Number(/^(\d+) seeds in /m.exec(output)?.[1]);
    if (share_s === null) expect(done).toBe(seeds);
    expect(done).toBeGreaterThan(0);
    // Few worlds scatter more.
    const slack = done < seeds ? 0.5 : 1;
    const missing = frequent.filter(([kind, at_least]) => times(kind) < Math.floor((at_least * done * slack) / 1000));
    if (done >= telling_seeds) expect(missing.map(([kind]) => [kind, times(kind)])).toEqual([]);
  },
  limit_ms,
);
