// What an extension adds to the HTTP door: reads and repairs of the Admin API, and paths of its own.

import type { ReadBody } from "./body.ts";
import type { Route } from "./route.ts";

export interface HttpExtension {
  /** Routes behind the admin secret. Their paths lie below `/api/v1/admin/` and are written without it. */
  admin: readonly Route[];
  /** Answers a request for one of its own paths; null for another one's. Never rejects. */
  answer(request: Request, from: { address: string; id: string }): Promise<{ answer: Response; route: string }> | null;
}

/** Makes an extension of the door that reads bodies within the door's limits. */
export type ExtendHttp = (door: { readBody: ReadBody }) => HttpExtension;
