// Reads request bodies, bounded in bytes and in time, byte for byte as they were sent. Never decodes them.

import { Fault } from "../domain/errors.ts";
import type { World } from "../world.ts";

const body_limit_bytes = 1_048_576;
/** Limit of the bodies that payers send: a choice, a claim or a form. */
export const payer_body_limit_bytes = 4096;
/** Against bodies that arrive byte by byte for ever. */
const body_deadline_ms = 15_000;
/** Bodies that state a length up to this are read in one piece. */
const small_body_bytes = 65_536;
/** Bytes of small bodies, and of larger ones, that may be in memory while they arrive. Apart, so that neither blocks the other. */
const arriving_max_bytes = 64 * 1024 * 1024;
const crowded_retry_s = 1;

/**
 * Returns the whole body of a request, at most `limit_bytes` (default 1 MiB). Faults: unreadable_body (too long, too
 * slow, cut off), too_many_requests (the bodies that are arriving hold 64 MiB).
 */
export type ReadBody = (request: Request, limit_bytes?: number) => Promise<Uint8Array>;

/** Body reader of one server; all its requests share the limits of bytes in memory. */
export function createBodyReader({ world }: { world: World }): ReadBody {
  const small = createByteLimit();
  const large = createByteLimit();

  async function counted(request: Request, limit_bytes: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of request.body ?? []) {
        if (bytes + chunk.length > limit_bytes) throw new Fault("unreadable_body");
        large.take(chunk.length);
        bytes += chunk.length;
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    } finally {
      large.release(bytes);
    }
  }

  async function whole(request: Request, bytes: number): Promise<Uint8Array> {
    small.take(bytes);
    try {
      return await request.bytes();
    } finally {
      small.release(bytes);
    }
  }

  return async (request, limit_bytes = body_limit_bytes) => {
    const header = request.headers.get("content-length");
    const declared = header === null ? null : Number(header);
    if (declared !== null && declared > limit_bytes) throw new Fault("unreadable_body");
    let stop = () => {};
    const late = new Promise<never>((_, reject) => {
      stop = world.timer(body_deadline_ms, () => reject(new Fault("unreadable_body")));
    });
    try {
      // The listener holds the client to the length it declared.
      const isSmall = declared !== null && declared <= small_body_bytes;
      return await Promise.race([isSmall ? whole(request, declared) : counted(request, limit_bytes), late]);
    } catch (error) {
      throw error instanceof Fault ? error : new Fault("unreadable_body");
    } finally {
      stop();
    }
  };
}

/** Counts bytes in memory up to `arriving_max_bytes`. `take` throws Fault too_many_requests when they are used up. */
function createByteLimit(): { take(bytes: number): void; release(bytes: number): void } {
  let used = 0;
  return {
    take(bytes) {
      if (used + bytes > arriving_max_bytes) throw new Fault("too_many_requests", undefined, crowded_retry_s);
      used += bytes;
    },
    release(bytes) {
      used -= bytes;
    },
  };
}
