// A place on loopback under our own OCID that answers whatever a test makes of a request's raw target and bytes.

import { connect } from "node:net";
import type { Signer } from "../../../src/opencharge/wire/keys.ts";

export type TestMerchant = ReturnType<typeof startTestMerchant>;

/** Starts it on a free port; `signer` is for the test to set. */
export function startTestMerchant(
  answer: (request: Request, target: string, body: Uint8Array) => Response | Promise<Response>,
) {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    async fetch(request) {
      const target = request.url.replace(/^https?:\/\/[^/]+/, "");
      return answer(request, target, new Uint8Array(await request.arrayBuffer()));
    },
  });
  return {
    endpoint: `http://127.0.0.1:${server.port}/opencharge`,
    signer: { public_key: "", sign: () => "" } as Signer,
    /** Sends a request line and headers as they are; resolves with all that comes back. */
    raw(request_line: string, headers: readonly string[]): Promise<string> {
      return new Promise((resolve, reject) => {
        let text = "";
        const socket = connect(server.port ?? 0, "127.0.0.1");
        socket.on("data", (chunk) => {
          text += chunk.toString();
        });
        socket.on("close", () => resolve(text));
        socket.on("error", reject);
        socket.write([request_line, "Host: 127.0.0.1", "Connection: close", ...headers, "", ""].join("\r\n"));
      });
    },
    stop: () => server.stop(true),
  };
}
