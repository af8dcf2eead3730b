// Follows one order to its end: a WebSocket where one gets through, questions in between and where none does. Tells
// each status once, however often it arrives; never takes a broken socket for an answer.

import { isPassing, type OcrchError } from "./errors.ts";
import { backoffMs, jittered, pause, retryMs } from "./retry.ts";
import type { Order } from "./shapes.ts";

const handshake_timeout_ms = 10_000;
/** A socket that ended sooner did no better than one that never opened. */
const useful_socket_ms = 5000;
/** So many useless sockets in a row: something on the way does not let them through. */
const useless_sockets_max = 3;
/** From then on every so manieth question is preceded by one more try. */
const socket_every_polls = 20;
/** A dead peer may look alive for long: the order is asked for beside an open socket as well. */
const check_ms = 60_000;

/** What is used of a WebSocket. */
export interface Socket {
  addEventListener(
    type: "open" | "message" | "close" | "error",
    listener: (event: { type: string; data?: unknown }) => void,
  ): void;
  close(): void;
}

/** What makes one: the `WebSocket` of browsers, Node.js 22, Deno and Bun, or that of the package `ws`. */
export type SocketConstructor = new (url: string) => Socket;

interface Needs {
  /** Null: only ask. */
  Socket: SocketConstructor | null;
  /** With the signature of now. */
  socketUrl(): Promise<string>;
  status(signal: AbortSignal | undefined): Promise<Order>;
  poll_ms: number;
  onStatus?: ((order: Order) => void) | undefined;
  onError?: ((error: OcrchError) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Resolves with the order once it is pending no more. Rejects with OcrchError, or with the signal's reason. */
export async function followOrder(needs: Needs): Promise<Order> {
  const { Socket, signal } = needs;
  let told: Order | null = null;
  let useless = 0;
  let failures = 0;

  /** Whether that was the end. */
  const tell = (order: Order): boolean => {
    if (told === null || told.status !== order.status) needs.onStatus?.(order);
    told = order;
    return order.status !== "pending";
  };

  for (let round = 0; ; round++) {
    signal?.throwIfAborted();
    const lets_through = useless < useless_sockets_max;
    if (Socket !== null && (lets_through || round % socket_every_polls === 0)) {
      const session = await watch(new Socket(await needs.socketUrl()), { ...needs, tell });
      if (session.last !== null) return session.last;
      useless = session.lasted_ms >= useful_socket_ms ? 0 : useless + 1;
    }

    try {
      // The answer is also the only way to learn why a socket was refused.
      const order = await needs.status(signal);
      if (tell(order)) return order;
      failures = 0;
      const again_ms = Socket !== null && useless < useless_sockets_max ? backoffMs(useless + 1) : needs.poll_ms;
      await pause(jittered(again_ms), signal);
    } catch (error) {
      if (!isPassing(error)) throw error;
      needs.onError?.(error);
      failures += 1;
      await pause(retryMs(failures, error), signal);
    }
  }
}

interface Session {
  /** The order at its end; null when the socket ended before. */
  last: Order | null;
  /** How long it was open. */
  lasted_ms: number;
}

/** One socket from its opening to its end. Rejects only with the signal's reason and with what `onStatus` threw. */
function watch(socket: Socket, needs: Needs & { tell(order: Order): boolean }): Promise<Session> {
  const { signal, tell } = needs;
  return new Promise((resolve, reject) => {
    let opened_at: number | null = null;
    let over = false;
    const end = (act: () => void) => {
      if (over) return;
      over = true;
      clearTimeout(patience);
      clearInterval(checking);
      signal?.removeEventListener("abort", abort);
      socket.close();
      act();
    };
    const finish = (last: Order | null) =>
      end(() => resolve({ last, lasted_ms: opened_at === null ? 0 : performance.now() - opened_at }));
    const take = (order: Order) => {
      if (over) return;
      try {
        if (tell(order)) finish(order);
      } catch (error) {
        end(() => reject(error));
      }
    };
    const abort = () => end(() => reject(signal?.reason));
    // What is wrong with the question is found out once the socket has ended.
    const check = () => needs.status(signal).then(take, () => {});
    const patience = setTimeout(() => finish(null), handshake_timeout_ms);
    const checking = setInterval(check, check_ms);
    signal?.addEventListener("abort", abort, { once: true });
    socket.addEventListener("open", () => {
      clearTimeout(patience);
      opened_at = performance.now();
    });
    socket.addEventListener("message", ({ data }) => {
      const order = orderIn(data);
      if (order !== null) take(order);
    });
    socket.addEventListener("error", () => finish(null));
    socket.addEventListener("close", () => finish(null));
  });
}

/** The order of a `status_update` frame; null for every other frame. */
function orderIn(data: unknown): Order | null {
  try {
    const frame = JSON.parse(String(data)) as { type?: unknown; order?: Order } | null;
    return frame?.type === "status_update" && frame.order !== undefined ? frame.order : null;
  } catch {
    return null;
  }
}
