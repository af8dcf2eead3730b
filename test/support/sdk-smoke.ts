// One walk through the client, from an order to its webhook, for any runtime: prints what it saw as JSON. Uses nothing
// but the client and what every runtime has.

import { createAdmin, createOcrch, createPayer, OcrchError, verifyWebhook } from "../../src/sdk/index.ts";

/** What the walk saw. */
export interface Seen {
  created: string;
  metadata: unknown;
  found: number;
  amount: string;
  statuses: string[];
  end: string;
  refused: [number, string];
  events: string[];
  admin: string[];
  webhook: string;
  forged: string;
}

interface Stage {
  url: string;
  secret: string;
  admin_secret: string;
  /** Unique per walk, like the next. */
  reference: string;
  amount: string;
}

/** Walks. */
export async function walk({ url, secret, admin_secret, reference, amount }: Stage): Promise<Seen> {
  const ocrch = createOcrch({ url, secret });
  const webhook_url = "https://webhooks.invalid/ocrch";
  const wanted = { order_id: reference, amount, webhook_url, metadata: { cart: ["ü", 1] } };
  const order = await ocrch.createOrder(wanted, { idempotencyKey: reference });
  const found = await ocrch.findOrders(reference);

  const page = await ocrch.signCheckoutUrl(`https://shop.example.com/pay?order_id=${order.order_id}`);
  const payer = createPayer({ url, signedUrl: page.url, signature: page.signature });
  const [first] = await payer.chains();
  if (first === undefined) throw new Error("nothing to choose");
  const detail = await payer.select(order.order_id, first);
  const statuses: string[] = [];
  const end = await payer.follow(order.order_id, {
    poll_ms: 20,
    onStatus({ status }) {
      statuses.push(status);
      if (status === "pending") void ocrch.cancelOrder(order.order_id);
    },
  });
  const refusal = await ocrch.cancelOrder(order.order_id).catch((error: unknown) => error);
  if (!(refusal instanceof OcrchError)) throw new Error("cancelled twice");

  const types: string[] = [];
  for await (const event of ocrch.events({ wait: 1 })) {
    if (event.order_id !== order.order_id) continue;
    types.push(event.type);
    if (event.type === "order_status_changed") break;
  }
  const listed = await createAdmin({ url, secret: admin_secret }).orders({ merchant_order_id: reference });

  // The contract's own vector.
  const body =
    '{"event_type":"order_status_changed","order_id":"550e8400-e29b-41d4-a716-446655440000","merchant_order_id":"your-order-123","status":"paid","amount":"19.99","timestamp":1711900800}';
  const headers = { "ocrch-signature": "1711900800.pYHqt5eNatFhyRE7+1CSH0SPlGvb2NJ1Z6PCBAXra3o=" };
  const vector = { secret: "test-merchant-secret", headers, now: () => 1_711_900_800_000 };
  const webhook = await verifyWebhook({ ...vector, body });
  const forged = await verifyWebhook({ ...vector, body: body.replace("19.99", "0.01") }).catch(String);
  return {
    created: order.status,
    metadata: order.metadata,
    found: found.length,
    amount: detail.amount,
    statuses,
    end: end.status,
    refused: [refusal.status, refusal.text],
    events: types,
    admin: listed.map(({ status }) => status),
    webhook: webhook.event_type === "order_status_changed" ? webhook.status : "another event",
    forged: typeof forged === "string" ? forged : "believed",
  };
}
