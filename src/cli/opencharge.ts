// `ocrch opencharge keygen`: a key for this appliance's identity on the network. Writes it where nobody else may read
// it, never over another key, and never to the screen.

import { resolve } from "node:path";
import { Fault, wordsOf } from "../domain/errors.ts";
import { addressOf, createSigner, newSecretKey } from "../wire/opencharge/keys.ts";
import { type Command, command, type Tools } from "./command.ts";

const usual_path = "opencharge.key";

/** `ocrch opencharge keygen`. Fault usage: the file is there already or cannot be written. */
export function keygen(tools: Tools): Command {
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
      files.replace(place, `${secret}\n`);
    } catch (error) {
      throw new Fault("usage", `${place}: cannot be written (${wordsOf(error)})`);
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
