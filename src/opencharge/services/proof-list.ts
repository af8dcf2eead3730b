// The proofs that were shown to us, for operators to look through. Changes nothing.

import type { Database } from "../../storage/engine/database.ts";
import { type ListedProof, listProofs, type ProofFilter } from "../storage/proof-lists.ts";

export interface ProofList {
  /** Proofs that verified, newest first, whatever became of them. */
  proofs(filter: ProofFilter, page: { limit: number; offset: number }): ListedProof[];
}

/** The list of one database. */
export function createProofList({ database }: { database: Database }): ProofList {
  return { proofs: (filter, page) => database.read((at) => listProofs(at, filter, page.limit, page.offset)) };
}
