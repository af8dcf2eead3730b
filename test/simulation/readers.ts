// Merchants' backends that read the numbered event log: page by page, from where they were or from anywhere. They know
// every event they were ever given, and judge each page at once.

import { createAsking, macOf } from "./asking.ts";
import type { ReadEvents, Stage } from "./stage.ts";

export interface Readers {
  /** Reads one page of the event log. */
  readEvents(): Promise<void>;
}

const pages = [1, 3, 20, 1000];

export function createReadEvents(): ReadEvents {
  const known = new Map<number, string>();
  return { known, last: () => Math.max(0, ...known.keys()) };
}

export function createReaders(stage: Stage): Readers {
  const { random, server, fail, read } = stage;
  const { insist, seconds } = createAsking(stage);

  return {
    async readEvents() {
      const after = random.weighted({ last: 60, first: 20, any: 20 });
      const from = after === "last" ? read.last() : after === "first" ? 0 : random.pick([0, ...read.known.keys()]);
      const body = JSON.stringify({ after: from, wait: 0, limit: random.pick(pages) });
      const timestamp = seconds();
      const headers = { "ocrch-signature": `${timestamp}.${macOf(`${timestamp}.${body}`)}` };
      const answer = await insist(() => server.request("POST", "/api/v1/service/events", headers, body));
      // Too old by the time a server was there.
      if (answer === null || answer.status === 401) return;
      if (answer.status !== 200) return fail(`the event log was answered with ${answer.status}: ${answer.text}`);
      const { events } = JSON.parse(answer.text) as { events: { n: number; type: string }[] };
      let before = from;
      for (const event of events) {
        const said = `event ${event.n} after ${before}`;
        if (event.n <= before) fail(`${said} goes back`);
        if (event.n !== before + 1 && event.type !== "log_restored") fail(`${said} leaves a gap`);
        const text = JSON.stringify(event);
        if ((read.known.get(event.n) ?? text) !== text) fail(`${said} was ${read.known.get(event.n)} and is ${text}`);
        read.known.set(event.n, text);
        before = event.n;
      }
      stage.count(`read ${events.length === 0 ? "no events" : "events"}`);
    },
  };
}
