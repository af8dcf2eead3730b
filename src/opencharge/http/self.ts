// Who we are to the network: the metadata document, which anybody may read, and what we offer a caller. Made from the
// live settings and the rows that are really served.

import { jsonText } from "../../http/answers.ts";
import type { World } from "../../world.ts";
import type { KeyIdentity } from "../services/identity.ts";
import { capabilitiesAnswer } from "../wire/answers.ts";
import { metadataDocument } from "../wire/metadata-document.ts";
import type { OpenchargeRow, RowHead } from "./row.ts";

/** Others may keep the document as long. */
const metadata_age_s = 300;
/** The signature over the document is made at most so often. */
const metadata_memory_ms = 60_000;

/** Whether an identity has the part in the network that a row is for. */
export function isEndpointServed({ role }: RowHead, own: KeyIdentity): boolean {
  return role === "both" || own[role] !== null;
}

/** The OCID that answers for a row. */
export function ocidFor(role: RowHead["role"], { merchant, gateway }: KeyIdentity): number {
  const [first, second] = role === "gateway" ? [gateway, merchant] : [merchant, gateway];
  // It is one of them, or it would not be.
  return first ?? second ?? 0;
}

/** The rows about ourselves; `others` are all the rest. */
export function selfRows({ world }: { world: World }, others: readonly OpenchargeRow[]): OpenchargeRow[] {
  // Those of settings that are no longer in force go with them.
  const made = new WeakMap<KeyIdentity, { until: number; text: string }>();

  function capabilitiesOf(identity: KeyIdentity): string[] {
    const served = others.filter((row) => isEndpointServed(row, identity)).map((row) => row.capability);
    const { items, merchant_ocid } = identity.settings;
    const offered = served.filter((name) => {
      if (name === "inventory.get") return items.length > 0;
      return merchant_ocid !== null || name === null || !/^payment\./.test(name);
    });
    return [...new Set(offered.filter((name) => name !== null))].sort();
  }

  function documentOf(identity: KeyIdentity): string {
    const known = made.get(identity);
    if (known !== undefined && known.until > world.elapsed()) return known.text;
    const { settings, signer, previous, endpoint } = identity;
    const { name, description, icon, contact, currencies, accepts } = settings;
    const settlement = { currencies, accepts };
    const capabilities = capabilitiesOf(identity);
    const own = { name, description, icon, contact, endpoint, capabilities, settlement, previous };
    const text = JSON.stringify(metadataDocument(own, signer, world.now()));
    made.set(identity, { until: world.elapsed() + metadata_memory_ms, text });
    return text;
  }

  const head = { method: "GET", role: "both", capability: null } as const;
  return [
    {
      ...head,
      path: "/metadata.json",
      auth: "nobody",
      handle({ identity }) {
        const answer = jsonText(200, documentOf(identity));
        answer.headers.set("cache-control", `max-age=${metadata_age_s}`);
        return answer;
      },
    },
    {
      ...head,
      path: "/capabilities",
      auth: "signed",
      handle({ identity }) {
        const { name, currencies, accepts } = identity.settings;
        const settlement = { currencies, accepts };
        const capabilities = capabilitiesOf(identity);
        return capabilitiesAnswer({ ocid: ocidFor("both", identity), name, capabilities, settlement });
      },
    },
  ];
}
