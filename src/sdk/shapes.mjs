// Writes shapes.ts and admin-shapes.ts: the JSON of the server's schemas as types. Runs in Bun. Writes to the folder that
// its argument names, else beside itself.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { eventTypes } from "../domain/events.ts";
import { adminProofSchema, proofOutcome } from "../opencharge/wire/proof-shapes.ts";
import { chainCoverageSchema } from "../wire/coverage.ts";
import { eventPageSchema, payloads } from "../wire/events.ts";
import { adminOrderSchema, orderSchema } from "../wire/orders.ts";
import { chainCoinSchema, claimSchema, paymentDetailSchema } from "../wire/payments.ts";
import { createOrderBody, selectionBody } from "../wire/requests.ts";
import * as transfers from "../wire/transfers.ts";
import { chain, claimStatus, coin, inboxReason, jsonObject, orderStatus, transferStatus } from "../wire/values.ts";

const line_max_chars = 120;
const { Empty: _, ...told } = payloads;
const walletCoverage = chainCoverageSchema.shape.wallets.element;

/** Values with a type of their own. A reason is any string, because later versions may know more of them. */
const values = { Blockchain: chain, Stablecoin: coin, JsonObject: jsonObject, string: inboxReason };
const shapes = {
  ...{ OrderStatus: orderStatus, TransferStatus: transferStatus, ClaimStatus: claimStatus },
  ...{ NewOrder: createOrderBody, Order: orderSchema, ChainCoin: chainCoinSchema, Choice: selectionBody },
  ...{ PaymentDetail: paymentDetailSchema, Claim: claimSchema, ...told },
};
const adminShapes = {
  ...{ AdminOrder: adminOrderSchema, AdminDeposit: transfers.adminDepositSchema },
  ...{ AdminTransfer: transfers.adminTransferSchema, InboxEntry: transfers.inboxEntrySchema },
  ...{ Candidate: transfers.inboxEntrySchema.shape.candidates.element, ChainCoverage: chainCoverageSchema },
  ...{ WalletCoverage: walletCoverage, UnexplainedBalance: walletCoverage.shape.unexplained.element },
  ...{ Assignment: transfers.assignmentSchema, AdminWallet: transfers.adminWalletSchema },
  ...{ ProofOutcome: proofOutcome, AdminProof: adminProofSchema },
};
const logged = eventPageSchema.shape.events.element;

const named = z.registry();
for (const [id, schema] of Object.entries({ ...values, ...shapes, ...adminShapes, logged })) named.add(schema, { id });
const json = z.toJSONSchema(named, { io: "input", unrepresentable: "any", uri: (id) => id }).schemas;

const unionOf = (types) => types.join(" | ");
const quoted = (words) => words.map((word) => JSON.stringify(word));

function typeOf({ $ref, const: literal, enum: words = [literal], anyOf, type, items, properties }) {
  if ($ref !== undefined) return $ref;
  if (words[0] !== undefined) return unionOf(quoted(words));
  if (anyOf !== undefined) return unionOf(anyOf.map(typeOf));
  if (type === "array") return `${typeOf(items)}[]`;
  if (properties !== undefined) {
    const fields = Object.entries(properties).map(([name, schema]) => `${name}: ${typeOf(schema)}`);
    return `{ ${fields.join("; ")} }`;
  }
  if (type === undefined) throw new Error("a schema without a type");
  // An amount may be a number in requests. The client takes text only, which keeps its scale.
  const types = [type].flat().filter((name, i) => i === 0 || name === "null");
  return unionOf(types).replace("integer", "number");
}

function docOf({ description, anyOf = [] }, indent = "") {
  const text = description ?? anyOf[0]?.description;
  if (text === undefined) return "";
  const line = `${indent}/** ${text} */\n`;
  if (line.length <= line_max_chars + 1) return line;
  const lines = text.match(new RegExp(`\\S.{0,${line_max_chars - indent.length - 4}}(?=\\s|$)`, "g"));
  return [`${indent}/**`, ...lines.map((one) => `${indent} * ${one}`), `${indent} */\n`].join("\n");
}

function fieldOf([name, schema], required) {
  const type = typeOf(schema);
  const field = required.includes(name)
    ? `${name}: ${type}`
    : `${name}?: ${type.replace(/ \| null$/, "$& | undefined")}`;
  return `${docOf(schema, "  ")}  ${field};\n`;
}

function interfaceOf(name, { properties, required = [], ...schema }) {
  const fields = Object.entries(properties).map((field) => fieldOf(field, required));
  return `${docOf(schema)}export interface ${name} {\n${fields.join("")}}\n`;
}

/** A type of its own, on one line where it fits, as the formatter writes it. */
function aliasOf(name, types, doc = "") {
  const line = `export type ${name} = ${unionOf(types)};\n`;
  if (line.length <= line_max_chars + 1) return doc + line;
  return `${doc}export type ${name} =\n${types.map((type) => `  | ${type}`).join("\n")};\n`;
}

function declarationOf(name) {
  const { [name]: schema } = json;
  return schema.enum === undefined ? interfaceOf(name, schema) : aliasOf(name, quoted(schema.enum), docOf(schema));
}

/** The event log: its rows, by what they carry. */
function eventsOf() {
  const { properties, ...row } = json.logged;
  const open = { ...properties, type: { $ref: "Type" }, data: { ...properties.data, $ref: "Data" } };
  const carried = Object.entries(Object.groupBy(Object.keys(eventTypes), (type) => eventTypes[type].payload));
  const rows = carried.map(([payload, types]) => {
    const data = payload === "Empty" ? "JsonObject" : payload;
    return `LoggedEvent<${unionOf(quoted(types))}, ${data}>`;
  });
  const template = interfaceOf("LoggedEvent<Type extends string, Data>", { ...row, properties: open });
  return [template, aliasOf("OcrchEvent", rows)];
}

function write(file, opening, declarations, elsewhere) {
  const text = declarations.join("\n");
  const imports = Object.entries(elsewhere).map(([from, names]) => {
    const used = names.filter((name) => new RegExp(`: ${name}\\b`).test(text));
    return `import type { ${used.sort().join(", ")} } from "./${from}";\n`;
  });
  writeFileSync(join(process.argv[2] ?? import.meta.dir, file), `${opening}\n\n${imports.join("")}\n${text}`);
}

const assets = { "assets.ts": ["Blockchain", "Stablecoin"] };
const object = "/** A JSON object. */\nexport interface JsonObject {\n  [key: string]: unknown;\n}\n";
write(
  "shapes.ts",
  "// The JSON of the APIs, the event log and the webhooks, written by shapes.mjs from ../wire. Holds no code. Amounts are\n// decimal text; times are Unix seconds.",
  [object, ...Object.keys(shapes).map(declarationOf), ...eventsOf()],
  assets,
);
write(
  "admin-shapes.ts",
  "// The answers of the Admin API, written by shapes.mjs from ../wire. Holds no code.",
  Object.keys(adminShapes).map(declarationOf),
  { ...assets, "shapes.ts": ["JsonObject", ...Object.keys(shapes)] },
);
