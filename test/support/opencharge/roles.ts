// What each kind of participant answers, as the protocol's pages describe it: small ledgers in memory, honest, and
// strict about what it is handed. Shares no code with src/.

import type { Fields, Json } from "./spelling.ts";

export type Role = "merchant_gateway" | "payment_app" | "settlement_provider";

/** One call as it arrived. */
export interface Received {
  method: string;
  /** Below the endpoint, without a query. */
  path: string;
  headers: Headers;
  raw: Uint8Array;
  body: Fields | null;
  /** The sender's OCID where its signature holds. */
  sender: number | null;
  /** Why it does not, in a code of the network. */
  fault: string | null;
}

export interface SignedEnvelope {
  proof: Fields;
  signature: string;
}

export interface ProofFields {
  txid?: string;
  issuer?: number;
  from?: Json;
  to: Json;
  amount: string;
  currency: string;
  timestamp?: number;
  memo?: string;
}

interface Needs {
  ocid: number;
  endpoint: string;
  seconds(): number;
  settlement: { currencies: string[]; accepts: number[] };
  keyOf(ocid: number): Promise<string | null>;
  makeProof(fields: ProofFields): SignedEnvelope;
  /** Whether a signature over an object holds in a spelling this party reads. */
  accept(object: Fields, signature: string, key: string): boolean;
}

interface Manner {
  capabilities: string[];
  answer(call: Received): Promise<Response>;
}

const payment_lifetime_s = 3600;

const refuse = (status: number, code: string, message = code.toLowerCase()) =>
  Response.json({ error: { code, message } }, { status });
const isFields = (value: Json | undefined): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const fieldsAt = (body: Fields | null, key: string): Fields => {
  const value = body?.[key];
  return isFields(value) ? value : {};
};

/** The behaviour of a role. */
export function answerAs(role: Role, needs: Needs): Manner {
  const { ocid, endpoint, seconds, settlement, keyOf, makeProof, accept } = needs;
  const proofs = new Map<string, SignedEnvelope>();
  const taken = new Map<string, string>();
  const payments = new Map<string, { request: Fields; expires_at: number; done: boolean }>();
  let counter = 0;

  async function holds(object: Fields, signature: Json | undefined, by: Json | undefined): Promise<boolean> {
    const key = await keyOf(Number(by));
    return key !== null && typeof signature === "string" && accept(object, signature, key);
  }

  function issue(fields: ProofFields): SignedEnvelope {
    const envelope = makeProof(fields);
    proofs.set(String(envelope.proof.txid), envelope);
    return envelope;
  }

  async function webhook(body: Fields | null): Promise<Response> {
    const proof = fieldsAt(body, "proof");
    const { issuer, txid } = proof;
    if (!settlement.accepts.includes(Number(issuer))) return refuse(400, "ISSUER_NOT_ACCEPTED");
    if (!(await holds(proof, body?.signature, issuer))) return refuse(400, "PROOF_SIGNATURE_INVALID");
    const key = `${issuer}:${txid}`;
    const content = JSON.stringify(proof);
    if ((taken.get(key) ?? content) !== content) return refuse(400, "INVALID_PROOF");
    taken.set(key, content);
    return Response.json({ status: "accepted", txid: txid ?? null });
  }

  /** The order inside a checkout, signed by the merchant it names and not expired. */
  async function orderFault(body: Fields | null, merchant: Json | undefined): Promise<Response | null> {
    const order = fieldsAt(body, "order");
    if (!(await holds(order, body?.signature, merchant))) return refuse(400, "INVALID_SIGNATURE");
    if (Number(order.expiresAt) <= seconds()) return refuse(400, "ORDER_EXPIRED");
    return null;
  }

  async function ordersCheckout(body: Fields | null): Promise<Response> {
    const order = fieldsAt(body, "order");
    const fault = await orderFault(body, order.ocid);
    if (fault !== null) return fault;
    const { accepts } = order;
    if (!Array.isArray(accepts) || !accepts.includes(ocid)) return refuse(400, "SETTLEMENT_NOT_SUPPORTED");
    return Response.json({ redirect_url: `${endpoint}/pay/sess_${++counter}` });
  }

  async function checkoutCreate(body: Fields | null): Promise<Response> {
    const fault = await orderFault(body, body?.merchantOcid);
    if (fault !== null) return fault;
    const session_id = `sess_${++counter}`;
    return Response.json({ checkout_url: `${endpoint}/pay/${session_id}`, session_id, expires_at: seconds() + 1800 });
  }

  function paymentCreate(body: Fields | null): Response {
    const txid = `pay_${ocid}_${++counter}`;
    const expires_at = Number(body?.expiresAt ?? seconds() + payment_lifetime_s);
    payments.set(txid, { request: body ?? {}, expires_at, done: false });
    const { amount = null, currency = null } = body ?? {};
    const accepts = settlement.accepts;
    return Response.json({
      status: "pending_settlement",
      txid,
      amount,
      currency,
      expiresAt: expires_at,
      settlement: { accepts },
    });
  }

  async function paymentSettle(body: Fields | null): Promise<Response> {
    const txid = String(body?.txid);
    const payment = payments.get(txid);
    const proof = fieldsAt(body, "proof");
    if (payment === undefined) return refuse(404, "PAYMENT_NOT_FOUND");
    if (payment.expires_at <= seconds()) return refuse(400, "PAYMENT_EXPIRED");
    if (payment.done) return refuse(400, "INVALID_STATE");
    if (!settlement.accepts.includes(Number(proof.issuer))) return refuse(400, "ISSUER_NOT_ACCEPTED");
    if (!(await holds(proof, body?.signature, proof.issuer))) return refuse(400, "PROOF_SIGNATURE_INVALID");
    const to = fieldsAt(proof, "to");
    if (to.ocid !== ocid || to.reference !== txid) return refuse(400, "INVALID_PROOF");
    const { request } = payment;
    if (proof.amount !== request.amount) return refuse(400, "AMOUNT_MISMATCH");
    if (proof.currency !== request.currency) return refuse(400, "CURRENCY_MISMATCH");
    payment.done = true;
    const order_id = fieldsAt(request, "order").id ?? request.reference ?? txid;
    const own = issue({
      txid,
      from: proof.from ?? null,
      to: { ocid: request.to ?? null, reference: order_id },
      amount: String(proof.amount),
      currency: String(proof.currency),
    });
    return Response.json({ status: "completed", txid, ...own });
  }

  function transferCreate(body: Fields | null): Response {
    const { from = null, to = null, amount, currency } = body ?? {};
    if (typeof amount !== "string" || typeof currency !== "string") return refuse(400, "INVALID_REQUEST");
    if (!settlement.currencies.includes(currency)) return refuse(400, "SETTLEMENT_NOT_SUPPORTED");
    const envelope = issue({ from, to, amount, currency });
    return Response.json({ status: "completed", txid: envelope.proof.txid, ...envelope });
  }

  function verify(txid: string): Response {
    const envelope = proofs.get(txid);
    if (envelope !== undefined) return Response.json({ ...envelope.proof, status: "completed", ...envelope });
    if (payments.has(txid)) return Response.json({ status: "pending", txid });
    return refuse(404, "TXID_NOT_FOUND");
  }

  const routes: Record<Role, Record<string, (body: Fields | null) => Response | Promise<Response>>> = {
    merchant_gateway: {
      "POST /orders/checkout": ordersCheckout,
      "POST /transfer/webhook": webhook,
      "POST /payment/create": paymentCreate,
      "POST /payment/settle": paymentSettle,
    },
    payment_app: { "POST /checkout/create": checkoutCreate, "POST /transfer/webhook": webhook },
    settlement_provider: { "POST /transfer/create": transferCreate },
  };
  const capabilities = Object.keys(routes[role]).map((route) => route.slice("POST /".length).replaceAll("/", "."));

  return {
    capabilities: role === "payment_app" ? capabilities : [...capabilities, "verify.txid"],
    async answer({ method, path, body, fault, sender }) {
      if (method === "GET" && path.startsWith("/verify/")) return verify(path.slice("/verify/".length));
      if (sender === null) return refuse(401, fault ?? "INVALID_SIGNATURE");
      if (method === "GET" && path === "/capabilities") {
        return Response.json({ ocid, name: `${role} ${ocid}`, capabilities, settlement });
      }
      const route = routes[role][`${method} ${path}`];
      return route === undefined ? refuse(400, "CAPABILITY_NOT_SUPPORTED") : route(body);
    },
  };
}
