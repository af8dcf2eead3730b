// Takes the configured address and port. What is answered there is decided by server.ts.

import type { Config } from "../config/config.ts";
import { Fault } from "../domain/errors.ts";
import type { Listener, World } from "../world.ts";
import { max_body_bytes } from "./server.ts";

/** A listener on `server.listen`. Fault: address_in_use. */
export function listen(world: World, config: Config, answer: Parameters<World["listen"]>[0]["answer"]): Listener {
  const { hostname, port } = config.server;
  try {
    return world.listen({ hostname, port, max_body_bytes, answer });
  } catch (error) {
    const code = (error as { code?: string }).code ?? "unknown";
    const cure =
      code === "EADDRNOTAVAIL"
        ? "it is no address of this machine; choose another with --listen"
        : "stop what uses it or choose another with --listen";
    throw new Fault("address_in_use", `server.listen: cannot listen on ${hostname}:${port} (${code}); ${cure}`);
  }
}

/** Where a listener is reached, e.g. `http://127.0.0.1:8080`. */
export function urlOf({ hostname, port }: Listener): string {
  return `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}
