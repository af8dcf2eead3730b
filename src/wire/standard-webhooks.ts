// The headers of the Standard Webhooks specification, so that any of its libraries verifies our deliveries. The key is
// the UTF-8 bytes of the secret: a library is given `whsec_` and their base64.

import { createHmac } from "node:crypto";

/** The three headers for one attempt at `now_ms`. Several secrets sign the same message, so that one can replace another. */
export function standardWebhookHeaders(
  secrets: readonly string[],
  id: string,
  body: string,
  now_ms: number,
): Record<string, string> {
  const timestamp = Math.floor(now_ms / 1000).toString();
  const signatures = secrets.map((secret) => {
    const mac = createHmac("sha256", secret).update(`${id}.${timestamp}.${body}`).digest("base64");
    return `v1,${mac}`;
  });
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures.join(" ") };
}
