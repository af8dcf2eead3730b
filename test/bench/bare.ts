// The least a server in this runtime can do with such a request: read its body, answer something as long as an order.

const order = JSON.stringify({
  order_id: "0199d3a5-7f6e-7c1a-9d35-2b8f0a4c6e11",
  merchant_order_id: "create-123456",
  amount: "1234.25",
  status: "pending",
  created_at: 1_700_000_000,
});
const headers = { "content-type": "application/json" };

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    await request.bytes();
    return new Response(order, { status: 201, headers });
  },
});
console.log(`bare ready on http://127.0.0.1:${server.port}`);
process.on("SIGTERM", () => process.exit(0));
