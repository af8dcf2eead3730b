// Whether a proof is its issuer's. A signature that covers payer, payee and order speaks for itself; a weak one counts
// where the issuer itself vouches for the rest: as the sender of the request, or on being asked.

import type { LiveConfig } from "../../config/config.ts";
import { Fault } from "../../domain/errors.ts";
import { createKeyedQueue } from "../../limits/keyed-queue.ts";
import type { Outbound } from "../../outbound.ts";
import type { World } from "../../world.ts";
import { readVerifyAnswer } from "../wire/answers.ts";
import { canonicalJson } from "../wire/canonical.ts";
import { isRefusal, type NetworkRefusal, networkRefusal } from "../wire/errors.ts";
import { keysForObject, type Metadata } from "../wire/metadata.ts";
import type { Envelope } from "../wire/readers.ts";
import { newNonce, signRequest } from "../wire/request-auth.ts";
import { type ObjectMatch, verifyProof } from "../wire/signed-objects.ts";
import { parseStrictJson } from "../wire/strict-json.ts";
import type { SignedCaller } from "./access.ts";
import type { Directory } from "./directory.ts";
import type { LocalIdentitySource } from "./identity.ts";

const verify_timeout_ms = 5000;
const verify_answer_max_bytes = 64 * 1024;
/** Issuers being asked at once, over all callers. */
const questions_max = 16;
/** Of those, for one caller: an issuer that does not answer is not everybody's trouble. */
const questions_of_one_max = 4;
const http_ok = 200;
const http_not_found = 404;

export interface Issuers {
  /**
   * The form and key a proof holds under, brought by `caller`. Refusals: METADATA_UNAVAILABLE (the issuer cannot be
   * read or asked: again later), PROOF_SIGNATURE_INVALID.
   */
  verify(caller: SignedCaller, envelope: Envelope): Promise<ObjectMatch | NetworkRefusal>;
}

/** The check of proofs over one directory and one way out. */
export function createIssuers(needs: {
  config: LiveConfig;
  outbound: Outbound;
  world: World;
  directory: Directory;
  identities: LocalIdentitySource;
}): Issuers {
  const { config, outbound, world, directory, identities } = needs;
  const queue = createKeyedQueue({ max: questions_max, share: questions_of_one_max });

  /** What is known of the issuer, and the match of a proof whose rest it vouches for; one more look where none holds. */
  async function matched(caller: SignedCaller, envelope: Envelope) {
    const { issuer, timestamp } = envelope.proof;
    const channel = { sender: caller.ocid, confirmed_by_issuer: true };
    const holds = (known: Metadata) => verifyProof(envelope, keysForObject(known, timestamp), channel);
    const known = caller.ocid === issuer ? caller.metadata : await directory.find(issuer);
    if (isRefusal(known))
      return networkRefusal("METADATA_UNAVAILABLE", { message: "the issuer's metadata cannot be read" });
    const match = holds(known);
    if (match !== null) return { known, match };
    const renewed = await directory.refresh(issuer);
    const late = renewed === null ? null : holds(renewed);
    return renewed === null || late === null
      ? networkRefusal("PROOF_SIGNATURE_INVALID")
      : { known: renewed, match: late };
  }

  /** Null when the issuer's own answer is exactly this proof. */
  async function disowned(endpoint: string | null, { proof, object }: Envelope): Promise<NetworkRefusal | null> {
    const own = identities.current();
    const sender = own?.gateway ?? own?.merchant ?? null;
    const { allow_private_targets } = config.current().webhooks;
    if (sender === null || endpoint === null || !(allow_private_targets || /^https:/i.test(endpoint))) {
      return networkRefusal("PROOF_SIGNATURE_INVALID");
    }
    const request = { method: "GET", url: `${endpoint}/verify/${encodeURIComponent(proof.txid)}`, body: null } as const;
    try {
      const answer = await outbound.send({
        ...request,
        headers: { accept: "application/json", ...signRequest(sender, request, world.now(), newNonce(world)) },
        timeout_ms: verify_timeout_ms,
        max_answer_bytes: verify_answer_max_bytes,
        target: allow_private_targets ? "trusted" : "guarded",
      });
      if (answer.status === http_not_found) return networkRefusal("PROOF_SIGNATURE_INVALID");
      if (answer.status !== http_ok || answer.cut) return networkRefusal("METADATA_UNAVAILABLE", cannot_ask);
      const said = readVerifyAnswer(parseStrictJson(answer.text));
      const is_same =
        typeof said === "object" && !isRefusal(said) && canonicalJson(said.object) === canonicalJson(object);
      return is_same ? null : networkRefusal("PROOF_SIGNATURE_INVALID");
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return networkRefusal("METADATA_UNAVAILABLE", cannot_ask);
    }
  }

  return {
    async verify(caller, envelope) {
      const found = await matched(caller, envelope);
      if (isRefusal(found)) return found;
      const { known, match } = found;
      const { issuer, txid } = envelope.proof;
      if (match.coverage === "full" || caller.ocid === issuer) return match;
      const asked = queue(`${issuer} ${txid}`, caller.ocid, () => disowned(known.endpoint, envelope));
      const problem = asked === null ? networkRefusal("METADATA_UNAVAILABLE", cannot_ask) : await asked;
      return problem ?? match;
    },
  };
}

const cannot_ask = { message: "the issuer cannot be asked whether this is its proof" };
