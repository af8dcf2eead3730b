// The WebSocket feed of orders: a view of the event log for whoever watches an order. Reads committed rows only and
// never waits for a socket.

import { errorText } from "../domain/errors.ts";
import { isTerminal, type OrderStatus } from "../domain/order.ts";
import type { OrderFeed } from "../services/order-feed.ts";
import type { Telemetry } from "../telemetry.ts";
import { errorFrame, statusFrame } from "../wire/orders.ts";
import type { Socket, SocketHandlers, World } from "../world.ts";

const sockets_per_order_max = 100;
const sockets_max = 50_000;
const waiting_max_bytes = 65_536;
const pump_batch_events = 500;
/** A closed socket with bytes in its buffer keeps its place this long: the listener frees it when it has been idle. */
const closing_ms = 36_000;

const close_done = 1000;
const close_fault = 1011;
const close_slow = 1013;
const close_unknown_order = 4004;
const unknown_order_reason = "order not found";

export interface Live {
  /**
   * Handlers for one more socket of an order, counted from now until `closed`; null when there are too many already.
   * With `hidden` the order is answered as one that does not exist.
   */
  open(order_id: string, hidden: boolean): SocketHandlers | null;
  /** Sends what was committed since the last call to the sockets it concerns. Never throws. */
  pump(): void;
  /** Closes every socket, and those that open from now on. */
  closeAll(code: number): void;
}

interface Viewer {
  order_id: string;
  /** Null until the upgrade is done, and once the socket was closed. */
  socket: Socket | null;
  told: OrderStatus | null;
  /** In the socket's buffer after the last frame. */
  waiting_bytes: number;
}

/** The sockets of all orders. The caller pumps after every commit, its own and those of other processes. */
export function createLive(needs: { world: World; orderFeed: OrderFeed; telemetry: Telemetry }): Live {
  const { world, orderFeed, telemetry } = needs;
  const viewers = new Map<string, Set<Viewer>>();
  let count = 0;
  /** Every status event up to this number has been shown to the sockets that were open then. */
  let position = 0;
  let closing: number | null = null;

  function join(order_id: string): Viewer | null {
    const others = viewers.get(order_id) ?? new Set();
    if (count >= sockets_max || others.size >= sockets_per_order_max) return null;
    // Nobody was watching, so nothing was pumped: whoever opens now reads the state of now.
    if (count === 0) position = orderFeed.last();
    const viewer: Viewer = { order_id, socket: null, told: null, waiting_bytes: 0 };
    viewers.set(order_id, others.add(viewer));
    count += 1;
    return viewer;
  }

  function leave(viewer: Viewer): void {
    const others = viewers.get(viewer.order_id);
    if (others === undefined || !others.delete(viewer)) return;
    count -= 1;
    if (others.size === 0) viewers.delete(viewer.order_id);
  }

  function closed(viewer: Viewer): void {
    viewer.socket = null;
    if (viewer.waiting_bytes === 0) leave(viewer);
    else world.timer(closing_ms, () => leave(viewer));
  }

  function end(viewer: Viewer, code: number, reason?: string): void {
    const { socket } = viewer;
    viewer.socket = null;
    socket?.close(code, reason);
  }

  function show(viewer: Viewer, order: ReturnType<OrderFeed["order"]>): void {
    const { socket } = viewer;
    if (socket === null) return;
    if (order === null) {
      socket.send(errorFrame(close_unknown_order, unknown_order_reason));
      return end(viewer, close_unknown_order, unknown_order_reason);
    }
    if (order.status === viewer.told) return;
    viewer.told = order.status;
    viewer.waiting_bytes = socket.send(statusFrame(order));
    if (viewer.waiting_bytes > waiting_max_bytes) end(viewer, close_slow);
    else if (isTerminal(order.status)) end(viewer, close_done);
  }

  /** The watched orders whose status was announced since the last time. */
  function takeTouched(): Set<string> {
    const touched = new Set<string>();
    const newest = orderFeed.last();
    if (newest === position) return touched;
    for (;;) {
      const rows = orderFeed.statusChanges(position, pump_batch_events);
      for (const { n, order_id } of rows) {
        position = n;
        if (viewers.has(order_id)) touched.add(order_id);
      }
      if (rows.length < pump_batch_events) break;
    }
    // Past events of other types as well, or each call would read them again.
    position = Math.max(position, newest);
    return touched;
  }

  function endAll(code: number): void {
    for (const viewer of [...viewers.values()].flatMap((others) => [...others])) {
      if (viewer.socket !== null) end(viewer, code);
    }
  }

  function report(error: unknown): void {
    telemetry.error("live_feed_failed", { error: errorText(error) });
  }

  return {
    open(order_id, hidden) {
      const viewer = join(order_id);
      if (viewer === null) return null;
      return {
        opened(socket) {
          viewer.socket = socket;
          if (closing !== null) return end(viewer, closing);
          try {
            show(viewer, hidden ? null : orderFeed.order(order_id));
          } catch (error) {
            report(error);
            end(viewer, close_fault);
          }
        },
        closed: () => closed(viewer),
      };
    },

    pump() {
      if (count === 0) return;
      try {
        for (const order_id of takeTouched()) {
          const order = orderFeed.order(order_id);
          for (const viewer of [...(viewers.get(order_id) ?? [])]) show(viewer, order);
        }
      } catch (error) {
        // Who may have missed something connects again and reads the state of then.
        report(error);
        endAll(close_fault);
      }
    },

    closeAll(code) {
      closing = code;
      endAll(code);
    },
  };
}
