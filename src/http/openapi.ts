// The API description: an OpenAPI 3.1 document made from the mounted routes, their schemas and the one table of
// statuses, so that it cannot say anything else than the server does. Lists nothing by hand.

import { z } from "zod";
import { type Code, errorCodes } from "../domain/errors.ts";
import { eventTypes } from "../domain/events.ts";
import { payloads } from "../wire/events.ts";
import { jsonText, statusOf, unavailable_text } from "./answers.ts";
import { open } from "./descriptions.ts";
import { pathParameters } from "./parameters.ts";
import type { About, Refusal, Route } from "./route.ts";

type Json = Record<string, unknown>;

/** Where zod puts named schemas, and where OpenAPI has them. */
const zod_place = "#/$defs/";
const openapi_place = "#/components/schemas/";
const with_retry: readonly Code[] = [
  "no_free_amount",
  "not_looked_up",
  "too_many_requests",
  "too_many_failed_attempts",
];

const tags = { body: "Service", url: "User", admin: "Admin", anybody: "Open" } as const;
const tagWords: Record<About["auth"], string> = {
  body: "The merchant's server: every request is signed with the merchant's secret.",
  url: "The payer's browser: every request carries a URL that the merchant's server signed.",
  admin: "The operator's own tools, with the admin secret.",
  anybody: "Open to anybody.",
};

const security: Record<About["auth"], Json[]> = {
  body: [{ SignedBody: [] }],
  url: [{ UrlSignature: [], SignedUrl: [] }],
  admin: [{ AdminSecret: [] }],
  anybody: [],
};

const inHeader = (name: string, description: string) => ({ type: "apiKey", in: "header", name, description });

const securitySchemes = {
  SignedBody: inHeader(
    "Ocrch-Signature",
    "`{timestamp}.{base64}`: HMAC-SHA256 with the merchant's secret over `{timestamp}.{body}`, Unix seconds.",
  ),
  UrlSignature: inHeader("Ocrch-Signature", "`{timestamp}.{base64}`: HMAC-SHA256 over `{signed url}.{timestamp}`."),
  SignedUrl: inHeader("Ocrch-Signed-Url", "The checkout page's URL that was signed, of an allowed origin."),
  StandardWebhook: inHeader(
    "webhook-signature",
    "Standard Webhooks: `v1,` and HMAC-SHA256 with the merchant's secret over `{webhook-id}.{webhook-timestamp}.{body}`. Every webhook carries this header and Ocrch-Signature.",
  ),
  AdminSecret: inHeader("Ocrch-Admin-Authorization", "The admin secret."),
};

const refusals: Record<About["auth"], readonly Code[]> = {
  body: [
    "missing_signature",
    "malformed_body_signature",
    "unreadable_body",
    "invalid_signature_encoding",
    "signature_mismatch",
    "invalid_json_body",
  ],
  url: [
    "missing_signature",
    "malformed_url_signature",
    "invalid_signature_encoding",
    "missing_signed_url",
    "signature_mismatch",
    "signature_expired",
    "origin_not_allowed",
  ],
  admin: ["missing_admin_secret", "invalid_admin_header", "invalid_admin_secret", "too_many_failed_attempts"],
  anybody: [],
};

const description =
  `Errors are plain text in the words listed. Unknown JSON fields and query parameters are ignored, a missing
optional field equals null. Another path is 404 \`not found\`, another method 405 \`method not allowed\` with \`Allow\`.
\`HEAD\` is \`GET\` without the body.`.replaceAll("\n", " ");

/** The route that serves the description of `routes` and of itself. */
export function descriptionRoute(routes: readonly Route[], version: string): Route {
  let text: string | null = null;
  const route: Route = {
    about: open.description,
    method: "GET",
    path: "/openapi.json",
    handle() {
      text ??= JSON.stringify(openApi([...routes, route], version));
      return jsonText(200, text);
    },
  };
  return route;
}

function openApi(routes: readonly Route[], version: string): Json {
  const components: Json = {};
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, components) };
  }
  const webhooks: Json = {};
  for (const [type, { webhook: summary, payload }] of Object.entries(eventTypes)) {
    if (summary !== null) webhooks[type] = webhook(summary, payloads[payload], components);
  }
  return {
    openapi: "3.1.0",
    info: {
      ...{ title: "Ocrch", version, description },
      contact: { name: "The operator of this server" },
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/", description: "The server that this description came from" }],
    tags: Object.entries(tags).map(([auth, name]) => ({ name, description: tagWords[auth as About["auth"]] })),
    paths,
    webhooks,
    components: { schemas: components, securitySchemes },
  };
}

function operation({ about, path }: Route, components: Json): Json {
  const parameters = [
    ...pathNames(path).map((name) => ({
      ...{ name, in: "path", required: true },
      schema: schemaOf(pathParameters[name] ?? z.string(), "input", components),
    })),
    ...parametersOf("query", about.query, components),
    ...parametersOf("header", about.headers, components),
  ];
  const body = about.body && {
    required: true,
    content: { "application/json": { schema: schemaOf(about.body, "input", components) } },
  };
  return {
    operationId: about.name,
    tags: [tags[about.auth]],
    summary: about.summary,
    description: about.description,
    security: security[about.auth],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: body }),
    responses: { [about.success.status]: success(about, components), ...failures(about, path) },
  };
}

function success({ success: { words, body, represented, frames } }: About, components: Json): Json {
  return {
    description: words,
    ...(body === undefined ? {} : { content: jsonContent(body, components) }),
    // OpenAPI has one content per status: with this one in it, clients would look for JSON in an empty answer.
    ...(represented === undefined ? {} : { "x-return-representation": jsonContent(represented, components) }),
    ...(frames === undefined ? {} : { "x-frames": frames.map((frame) => schemaOf(frame, "output", components)) }),
  };
}

function jsonContent(schema: z.ZodType, components: Json): Json {
  return { "application/json": { schema: schemaOf(schema, "output", components) } };
}

/** Every status but the one of success, each with all the words it may come with. */
function failures(about: About, path: string): Json {
  const named = [...pathNames(path).filter(isChecked), ...Object.keys(about.query?.shape ?? {}).filter(isFilter)];
  const all: Refusal[] = [
    ...refusals[about.auth],
    ...named.map((name) => ["invalid_request", `invalid ${name}`] as const),
    ...about.refusals,
    "internal",
    ["database_full", unavailable_text],
  ];
  const byStatus = new Map<number, { words: Set<string>; retry: boolean }>();
  for (const refusal of all) {
    const [code, words] = typeof refusal === "string" ? [refusal, errorCodes[refusal].text] : refusal;
    const known = byStatus.get(statusOf(code)) ?? { words: new Set(), retry: false };
    const retry = known.retry || with_retry.includes(code);
    byStatus.set(statusOf(code), { words: known.words.add(words), retry });
  }
  return Object.fromEntries([...byStatus].map(([status, { words, retry }]) => [status, failure([...words], retry)]));
}

function failure(words: readonly string[], retry: boolean): Json {
  const examples = Object.fromEntries(words.map((text) => [text.replace(/\W+/g, "_"), { value: text }]));
  const seconds = { description: "Seconds, where it is known.", schema: { type: "integer" } };
  return {
    description: words.join("; "),
    ...(retry ? { headers: { "Retry-After": seconds } } : {}),
    content: { "text/plain": { schema: { type: "string" }, examples } },
  };
}

function parametersOf(place: string, schema: z.ZodObject | undefined, components: Json): Json[] {
  return Object.entries(schema?.shape ?? {}).map(([name, field]) => {
    const { description, ...rest } = schemaOf(field as z.ZodType, "input", components);
    return { name, in: place, required: false, ...(description === undefined ? {} : { description }), schema: rest };
  });
}

function webhook(summary: string, schema: z.ZodType, components: Json): Json {
  return {
    post: {
      operationId: `on${schema.meta()?.id}`,
      summary,
      security: [{ SignedBody: [] }, { StandardWebhook: [] }],
      requestBody: {
        required: true,
        content: jsonContent(schema, components),
      },
      responses: { "2XX": { description: "Delivered; anything else is tried again" } },
    },
  };
}

/** The JSON Schema of a zod schema; the named ones inside it go to `components`. */
function schemaOf(schema: z.ZodType, io: "input" | "output", components: Json): Json {
  const made = z.toJSONSchema(schema, { io, unrepresentable: "any", override: forgetSafeBound });
  const { $schema: _, "~standard": __, $defs = {}, ...own } = made as Json & { $defs?: Json };
  const moved = (value: unknown) => JSON.parse(JSON.stringify(value).replaceAll(zod_place, openapi_place)) as Json;
  for (const [id, definition] of Object.entries($defs)) components[id] = moved(definition);
  return moved(own);
}

/** That JavaScript counts no further says nothing about the API. */
function forgetSafeBound({ jsonSchema }: { jsonSchema: Json }): void {
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
}

function pathNames(path: string): string[] {
  return [...path.matchAll(/:(\w+)/g)].map(([, name = ""]) => name);
}

/** Any text is an address that may or may not be known; the other parameters have a form. */
function isChecked(name: string): boolean {
  return name !== "address";
}

/** The socket's signature in the query is refused in the words of the headers. */
function isFilter(name: string): boolean {
  return name !== "signed_url" && name !== "signature";
}
