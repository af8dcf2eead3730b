// Another participant of the network on loopback, with its own key, metadata server and memory: a merchant's gateway, a
// payment app or a settlement provider. Honest unless told otherwise; every way of misbehaving is an option of a call
// or a setting of the party. Shares no code with src/.

import { answerAs, type ProofFields, type Received, type Role, type SignedEnvelope } from "./roles.ts";
import {
  compressedKeyOf,
  type Dialect,
  type Fields,
  type Ink,
  isSignedBy,
  type Json,
  newSecret,
  publicKeyOf,
  sha256,
  sign,
  spell,
} from "./spelling.ts";

export interface PartyOptions {
  ocid: number;
  role: Role;
  /** As its metadata states it. */
  name?: string;
  /** How it spells what it signs; requests and answers have one form only. */
  dialect?: Dialect;
  /** 64 hexadecimal digits; a fresh key without. */
  secret?: string;
  /** ms; the machine's clock without. */
  now?: () => number;
  /** Issuers whose proofs it takes. */
  accepts?: number[];
  currencies?: string[];
  base_path?: string;
}

/** What the metadata server answers from now on. */
export type MetadataMode =
  | "honest"
  | "nested_only"
  | "flat"
  | "signed_shallow"
  | "compressed_key"
  | "keys_differ"
  | "unsigned"
  | "signed_by_another"
  | "key_off_curve"
  | "not_json"
  | "too_large"
  | "redirect"
  | "unavailable"
  | "hang";

/** What to do differently in one call. */
export interface Overrides {
  ocid?: number | string;
  /** Seconds, or any text. */
  timestamp?: number | string;
  nonce?: string;
  /** The path that is signed: the one below the endpoint, or any text; the full one without. */
  signed_path?: "relative" | (string & {});
  /** The method that is signed. */
  signed_method?: string;
  /** The body that is signed, where another one is sent. */
  signed_body?: string;
  /** Signs with this key instead. */
  secret?: string;
  ink?: Ink;
  /** Headers left out, lower case. */
  without?: string[];
  /** Headers set last, over anything signed. */
  headers?: Record<string, string>;
  /** Appended to the address that is called, and not signed. */
  query?: string;
}

export interface Answer {
  status: number;
  text: string;
  /** Null for a body that is no JSON. */
  json: Fields | null;
  headers: Headers;
  /** Whether the answer's own signature holds against the key known for `from`. */
  signed: "absent" | "valid" | "invalid";
  /** What was sent, for `replay`. */
  sent: Sent;
}

export interface Sent {
  url: string;
  method: string;
  headers: Record<string, string>;
  body: string | null;
}

export type Party = Awaited<ReturnType<typeof startParty>>;

const window_s = 300;

/** Starts one on a free port. It knows nobody until told by `knows`. */
export function startParty(options: PartyOptions) {
  const { ocid, role, name = `${role} ${ocid}`, dialect = "recursive", base_path = "/opencharge" } = options;
  const now = options.now ?? (() => Date.now());
  const seconds = () => Math.floor(now() / 1000);
  let secret = options.secret ?? newSecret();
  let previous: { key: string; at: number } | null = null;
  let mode: MetadataMode = "honest";
  let signs_answers: "yes" | "no" | "wrongly" = "yes";
  let metadata_reads = 0;
  let counter = 0;
  const received: Received[] = [];
  const peers = new Map<number, string>();
  const nonces = new Set<string>();
  const hooks = new Map<string, (call: Received) => Response | Promise<Response> | null>();
  const waiting = new Set<() => void>();
  const settlement = { currencies: options.currencies ?? ["USD"], accepts: options.accepts ?? [ocid] };

  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 30, development: false, fetch: serve });
  const origin = `http://127.0.0.1:${server.port}`;
  const endpoint = origin + base_path;
  const act = answerAs(role, { ocid, endpoint, seconds, settlement, keyOf, makeProof, accept: readsObject });

  function metadata(): Fields {
    const config: Fields = {
      publicKey: mode === "compressed_key" ? compressedKeyOf(secret) : publicKeyOf(secret),
      endpoint,
      capabilities: act.capabilities,
      settlement,
      ...(previous === null ? {} : { previousKey: previous.key, keyRotatedAt: previous.at }),
    };
    if (mode === "key_off_curve") config.publicKey = "ab".repeat(64);
    const head = { opencharge: "0.1", name };
    if (mode === "flat") return { ...head, ...config };
    const signature = sign(
      spell(config, mode === "signed_shallow" ? "shallow" : dialect),
      mode === "signed_by_another" ? newSecret() : secret,
    );
    const nested: Fields = { ...head, config, kyc: [], ...(mode === "unsigned" ? {} : { signature }) };
    if (mode === "nested_only") return nested;
    return { ...nested, ...config, ...(mode === "keys_differ" ? { publicKey: publicKeyOf(newSecret()) } : {}) };
  }

  async function serveMetadata(): Promise<Response> {
    metadata_reads++;
    switch (mode) {
      case "not_json":
        return new Response("<html>under construction</html>");
      case "too_large":
        return Response.json({ ...metadata(), padding: "x".repeat(200_000) });
      case "redirect":
        return new Response(null, { status: 302, headers: { location: "http://169.254.169.254/metadata.json" } });
      case "unavailable":
        return new Response("gone for now", { status: 503 });
      case "hang":
        return new Promise<Response>(() => {});
      default:
        return Response.json(metadata());
    }
  }

  async function serve(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const path = url.pathname.startsWith(base_path) ? url.pathname.slice(base_path.length) : url.pathname;
    if (path === "/metadata.json") return serveMetadata();
    const raw = new Uint8Array(await request.arrayBuffer());
    const { sender, fault } = await authenticate(request, url.pathname + url.search, raw);
    const call = { method: request.method, path, headers: request.headers, raw, body: parse(raw), sender, fault };
    received.push(call);
    for (const look of [...waiting]) look();
    const answer = (await hooks.get(path)?.(call)) ?? (await act.answer(call));
    return signAnswer(answer);
  }

  /** The steps of the reference verifier: window, nonce, key at the top of the metadata, signature over six lines. */
  async function authenticate(request: Request, target: string, raw: Uint8Array) {
    const header = (name: string) => request.headers.get(name) ?? "";
    const [id, timestamp, nonce] = [header("x-oc-id"), header("x-oc-timestamp"), header("x-oc-nonce")];
    const signature = header("x-oc-signature");
    const refuse = (fault: string) => ({ sender: null, fault });
    if (id === "" || signature === "") return refuse("INVALID_SIGNATURE");
    if (!(Math.abs(seconds() - Number(timestamp)) <= window_s)) return refuse("TIMESTAMP_EXPIRED");
    if (nonces.has(`${id}:${nonce}`)) return refuse("NONCE_REUSED");
    nonces.add(`${id}:${nonce}`);
    const key = await keyOf(Number(id));
    if (key === null) return refuse("UNKNOWN_OCID");
    const text = [id, timestamp, nonce, request.method.toUpperCase(), target, sha256(raw)].join("\n");
    return isSignedBy(text, signature, key) ? { sender: Number(id), fault: null } : refuse("INVALID_SIGNATURE");
  }

  async function keyOf(other: number): Promise<string | null> {
    if (other === ocid) return publicKeyOf(secret);
    const url = peers.get(other);
    if (url === undefined) return null;
    const document = (await (await fetch(url)).json()) as Fields;
    return typeof document.publicKey === "string" ? document.publicKey : null;
  }

  async function signAnswer(answer: Response): Promise<Response> {
    if (signs_answers === "no") return answer;
    const body = await answer.text();
    const timestamp = String(seconds());
    const text = [String(ocid), timestamp, String(answer.status), sha256(body)].join("\n");
    const headers = new Headers(answer.headers);
    headers.set("x-oc-id", String(ocid));
    headers.set("x-oc-timestamp", timestamp);
    headers.set("x-oc-signature", sign(text, signs_answers === "wrongly" ? newSecret() : secret));
    return new Response(body, { status: answer.status, headers });
  }

  function makeProof(fields: ProofFields, spelling: Dialect = dialect, ink: Ink = "specified"): SignedEnvelope {
    const { txid = `tx_${ocid}_${++counter}`, issuer = ocid, from = { ocid, reference: `payer_${counter}` } } = fields;
    const { to, amount, currency, timestamp = seconds(), memo } = fields;
    const proof: Fields = {
      txid,
      issuer,
      from,
      to,
      amount,
      currency,
      timestamp,
      ...(memo === undefined ? {} : { memo }),
    };
    return { proof, signature: sign(spell(proof, spelling), secret, ink) };
  }

  /** Whether a signed object of a known party verifies, in the one spelling this party can read besides the strict one. */
  function readsObject(object: Fields, signature: string, key: string): boolean {
    const spellings: Dialect[] = dialect === "recursive" ? ["recursive"] : [dialect, "recursive"];
    return spellings.some((spelling) => isSignedBy(spell(object, spelling), signature, key));
  }

  async function send(sent: Sent, from: number | null): Promise<Answer> {
    const { url, method, headers, body } = sent;
    const response = await fetch(url, { method, headers, body, redirect: "manual" });
    const text = await response.text();
    return {
      status: response.status,
      text,
      json: parse(new TextEncoder().encode(text)),
      headers: response.headers,
      signed: await judgeAnswer(response, text, from),
      sent,
    };
  }

  async function judgeAnswer(response: Response, text: string, from: number | null): Promise<Answer["signed"]> {
    const header = (name: string) => response.headers.get(name) ?? "";
    const signature = header("x-oc-signature");
    if (signature === "") return "absent";
    const id = header("x-oc-id");
    const key = await keyOf(from ?? Number(id));
    const lines = [id, header("x-oc-timestamp"), String(response.status), sha256(text)].join("\n");
    return key !== null && isSignedBy(lines, signature, key) ? "valid" : "invalid";
  }

  return {
    ocid,
    role,
    dialect,
    endpoint,
    metadata_url: `${endpoint}/metadata.json`,
    received,
    metadata,
    get publicKey() {
      return publicKeyOf(secret);
    },
    get metadata_reads() {
      return metadata_reads;
    },
    /** Where it finds the metadata of another OCID: its registry. */
    knows(other: number, metadata_url: string) {
      peers.set(other, metadata_url);
    },
    serveMetadataAs(next: MetadataMode) {
      mode = next;
    },
    signAnswers(next: "yes" | "no" | "wrongly") {
      signs_answers = next;
    },
    /** A new key from now on. `announced`: the metadata names the old one and the time. Returns the old secret. */
    rotateKey({ announced }: { announced: boolean }): string {
      const old = secret;
      previous = announced ? { key: publicKeyOf(old), at: seconds() } : null;
      secret = newSecret();
      return old;
    },
    /** Answers calls to a path (below the endpoint) itself; null from `answer` leaves it to the role. */
    answerWith(path: string, answer: (call: Received) => Response | Promise<Response> | null) {
      hooks.set(path, answer);
    },
    /** Calls `path` below the endpoint `url`. A string body is sent as it is, null is none. */
    async call(url: string, method: string, path: string, body: Json, overrides: Overrides = {}): Promise<Answer> {
      const full = new URL(url + path);
      const text = body === null ? null : typeof body === "string" ? body : JSON.stringify(body);
      const id = String(overrides.ocid ?? ocid);
      const timestamp = String(overrides.timestamp ?? seconds());
      const nonce = overrides.nonce ?? `req_${crypto.randomUUID()}`;
      const signed_path = overrides.signed_path === "relative" ? path : (overrides.signed_path ?? full.pathname);
      const hash = sha256(overrides.signed_body ?? text ?? "");
      const lines = [id, timestamp, nonce, overrides.signed_method ?? method, signed_path, hash].join("\n");
      const headers: Record<string, string> = {
        ...(text === null ? {} : { "content-type": "application/json" }),
        "x-oc-id": id,
        "x-oc-timestamp": timestamp,
        "x-oc-nonce": nonce,
        "x-oc-signature": sign(lines, overrides.secret ?? secret, overrides.ink),
        ...overrides.headers,
      };
      for (const name of overrides.without ?? []) delete headers[name];
      return send({ url: full.href + (overrides.query ?? ""), method, headers, body: text }, null);
    },
    /** The same bytes once more, perhaps to somebody else. */
    replay(sent: Sent, url = sent.url): Promise<Answer> {
      return send({ ...sent, url }, null);
    },
    /** An order of this party as a merchant, signed in its dialect or another. */
    signOrder(
      order: Fields,
      spelling: Dialect = dialect,
      ink: Ink = "specified",
    ): { order: Fields; signature: string } {
      return { order, signature: sign(spell(order, spelling), secret, ink) };
    },
    signChallenge: (challenge: string) => sign(challenge, secret),
    proof: makeProof,
    /** The same signature over a proof that now pays somebody else: what a thief makes of a shallow one. */
    redirected(envelope: SignedEnvelope, to: { ocid: number; reference: string }): SignedEnvelope {
      return { proof: { ...envelope.proof, to }, signature: envelope.signature };
    },
    /** Resolves with the first received call that fits, already here or still to come. */
    awaitCall(fits: (call: Received) => boolean, timeout_ms = 120_000): Promise<Received> {
      return new Promise((resolve, reject) => {
        const patience = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`no such call to ${ocid} within ${timeout_ms} ms; ${received.length} others came`));
        }, timeout_ms);
        const look = () => {
          const found = received.find(fits);
          if (found === undefined) return;
          clearTimeout(patience);
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      });
    },
    stop: () => server.stop(true),
  };
}

function parse(raw: Uint8Array): Fields | null {
  try {
    const value = JSON.parse(new TextDecoder().decode(raw)) as Json;
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
