// `ocrch opencharge keygen` and `proofs`, with the tools of all commands. A key is written where nobody else may read it, never over another key, and
// never to the screen.

import { resolve } from "node:path";
import { withOperator } from "../../cli/appliance.ts";
import {
  type Command,
  choiceArgument,
  command,
  commonFlags,
  type Group,
  jsonFlag,
  type Tools,
} from "../../cli/command.ts";
import { pageOf, paging, printList } from "../../cli/lists.ts";
import { isoTime, shortened } from "../../cli/table.ts";
import { errorText, Fault } from "../../domain/errors.ts";
import { proofOutcomes, proofWords } from "../domain/proof.ts";
import { createProofList } from "../services/proof-list.ts";
import { addressOf, createSigner, newSecretKey } from "../wire/keys.ts";
import { adminProofShape } from "../wire/proof-shapes.ts";

const usual_path = "opencharge.key";

/** `ocrch opencharge`. */
export function openchargeCommands(tools: Tools): Group {
  return {
    name: "opencharge",
    summary: "Take part in the Opencharge network",
    commands: [keygen(tools), proofs(tools)],
  };
}

/** `ocrch opencharge keygen`. Fault usage: the file is there already or cannot be written. */
function keygen(tools: Tools): Command {
  const path = { type: "positional", required: false, description: `File to write (else ${usual_path} here)` } as const;
  return command("keygen", "Make a key for the Opencharge network", { path }, async (args) => {
    const { files, print } = tools.world;
    const place = resolve(args.path || usual_path);
    if (files.exists(place)) {
      throw new Fault("usage", `${place}: there is a file already; name another, because a key that is lost is lost`);
    }
    const secret = newSecretKey(tools.world);
    const signer = createSigner(secret);
    if (signer === null) throw new Error("a new key is no key");
    try {
      files.create(place, `${secret}\n`);
    } catch (error) {
      throw new Fault("usage", `${place}: cannot be written (${errorText(error)})`);
    }
    print(
      [
        `wrote ${place}, readable by you alone; keep a copy of it`,
        `public key ${signer.public_key}`,
        `address    ${addressOf(signer.public_key)}`,
        "Put the path into [opencharge] as private_key_file, and register the OCID with another wallet's key:",
        "who steals this one can then sign for you, but not take your identity away.",
      ].join("\n"),
    );
  });
}

/** `ocrch opencharge proofs`. */
function proofs(tools: Tools): Command {
  const outcome = choiceArgument(proofOutcomes, "Only with this outcome");
  const args = { outcome, ...paging, ...jsonFlag, ...commonFlags } as const;
  return command("proofs", "List proofs of payment that verified, and what became of them", args, async (args) => {
    const page = pageOf(args);
    const rows = await withOperator(tools, args, ({ database }) =>
      createProofList({ database }).proofs({ outcome: args.outcome }, page),
    );
    printList(tools, args.json, rows, adminProofShape, [
      { title: "RECEIVED", value: (row) => isoTime(row.received_at) },
      { title: "ISSUER", value: (row) => row.issuer, right: true },
      { title: "TXID", value: (row) => shortened(row.txid) },
      { title: "AMOUNT", value: (row) => row.amount, right: true },
      { title: "CURRENCY", value: (row) => row.currency },
      { title: "OUTCOME", value: (row) => row.outcome },
      { title: "ORDER", value: (row) => row.order_id },
      { title: "REFERENCE", value: (row) => (row.reference === null ? null : shortened(row.reference)) },
      { title: "WHY", value: (row) => proofWords(row.outcome, row.payment !== null) },
    ]);
  });
}
