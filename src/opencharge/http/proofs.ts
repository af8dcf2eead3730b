// The Admin API's list of proofs. Shows what the database holds; changes nothing.

import { z } from "zod";
import { json } from "../../http/answers.ts";
import { pagination, readQuery } from "../../http/parameters.ts";
import type { About, Route } from "../../http/route.ts";
import type { ProofList } from "../services/proof-list.ts";
import { adminProofSchema, adminProofShape, proofOutcome } from "../wire/proof-shapes.ts";

const query = z.object({ outcome: proofOutcome.optional(), ...pagination });

const about: About = {
  name: "listProofs",
  summary: "List proofs of payment of the Opencharge network",
  description: "Every proof that verified: those that paid an order, and those kept for a person to look at.",
  auth: "admin",
  query,
  success: { status: 200, words: "Proofs, newest first", body: z.array(adminProofSchema) },
  refusals: [],
};

/** `GET opencharge/proofs` of the Admin API. */
export function proofsRoute({ proofs }: ProofList): Route {
  return {
    about,
    method: "GET",
    path: "opencharge/proofs",
    handle(call) {
      const { outcome, ...page } = readQuery(query, call.query);
      return json(200, proofs({ outcome }, page).map(adminProofShape));
    },
  };
}
