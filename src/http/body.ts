// Reading a request's body: bounded in bytes and in time, byte for byte as it was sent. Never decodes it.

import { Fault } from "../domain/errors.ts";
import type { World } from "../world.ts";

const body_limit_bytes = 1_048_576;
/** Against bodies that arrive byte by byte for ever. */
const body_deadline_ms = 15_000;

/** The whole body, at most `limit_bytes` of it. Fault: unreadable_body (too long, too slow, cut off). */
export async function readBody(world: World, request: Request, limit_bytes = body_limit_bytes): Promise<Uint8Array> {
  const declared = request.headers.get("content-length");
  if (declared !== null && Number(declared) > limit_bytes) throw new Fault("unreadable_body");
  let stop = () => {};
  const late = new Promise<never>((_, reject) => {
    stop = world.timer(body_deadline_ms, () => reject(new Fault("unreadable_body")));
  });
  try {
    // A declared length was checked above and the listener holds the client to it; anything else is counted.
    return await Promise.race([declared === null ? counted(request, limit_bytes) : request.bytes(), late]);
  } catch {
    throw new Fault("unreadable_body");
  } finally {
    stop();
  }
}

async function counted(request: Request, limit_bytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes > limit_bytes) throw new Fault("unreadable_body");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
