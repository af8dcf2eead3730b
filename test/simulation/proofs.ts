// The end of a world with the Opencharge network: every page that was paid is proved to the merchant and to the gateway,
// once, for what it asked; nothing else is.

import type { Database as Sqlite } from "bun:sqlite";
import type { Stage } from "./stage.ts";

interface PageRow {
  id: string;
  amount: string;
  status: string;
  merchant_order: string;
  txid: string;
}

/** Tells `stage.fail` of proofs that are missing, or prove what is not so. */
export function checkProofs(stage: Stage, db: Sqlite): void {
  const { fail, lost } = stage;
  const pages = db
    .query<PageRow, []>(
      "SELECT o.id, o.amount, o.status, s.merchant_order, s.txid FROM oc_sessions s JOIN orders o ON o.id = s.order_id",
    )
    .all();
  const given_up = db.query("SELECT 1 FROM deliveries WHERE kind = 'proof' AND state = 'gave_up'").get() !== null;
  for (const { host, proofs } of stage.parties) {
    for (const { id, amount, status, merchant_order, txid } of pages) {
      const proof = proofs.get(txid);
      const said = `the page of ${merchant_order} (${id}) is ${status}`;
      if (status === "paid" && proof?.accepted !== true && !given_up) fail(`${said} and ${host} has no proof of it`);
      if (proof === undefined) continue;
      stage.count("proof of a page");
      if (status !== "paid" && lost.restores.length === 0) fail(`${said} and ${host} has a proof of it`);
      const { to, currency } = proof.fields;
      if (proof.fields.amount !== amount || to.reference !== merchant_order || currency !== "USD") {
        fail(`${said}, asks for ${amount}, and is proved by ${proof.body}`);
      }
    }
    const proved = [...proofs.values()].map(({ fields }) => fields.to.reference);
    if (new Set(proved).size < proved.length) fail(`${host} has two proofs of one order: ${proved.join(" ")}`);
    for (const txid of proofs.keys()) {
      if (!pages.some((page) => page.txid === txid) && lost.restores.length === 0)
        fail(`${host} has the proof ${txid} of nothing`);
    }
  }
}
