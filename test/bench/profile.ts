// Where a process spent its time, read from a profile in the form inspectors write: by function of the product, with
// the libraries and native work it called, and by function alone. Knows nothing of what ran.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { number, percent, table } from "./report.ts";

const root = join(import.meta.dir, "../..");
const callers_shown = 14;
const functions_shown = 8;

interface ProfileNode {
  id: number;
  callFrame: { functionName: string; url: string; lineNumber: number };
  children?: number[];
}

interface Profile {
  nodes: ProfileNode[];
  samples: number[];
  /** Microseconds. */
  timeDeltas: number[];
}

/** Two tables of the profile in `file`; `count` is how many pieces of work it covers. */
export function profileLines(file: string, count: number): string[] {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, "utf8")) as Profile;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)));
  const callers = new Map<string, number>();
  const functions = new Map<string, number>();
  let total_us = 0;
  for (const [index, id] of samples.entries()) {
    // Before its first sample the process only waited for work.
    const time_us = index === 0 ? 0 : (timeDeltas[index] ?? 0);
    const node = byId.get(id);
    if (node === undefined || node.callFrame.functionName === "(idle)") continue;
    let owner: ProfileNode | undefined = node;
    while (owner !== undefined && !isOurs(owner)) owner = byId.get(parents.get(owner.id) ?? -1);
    total_us += time_us;
    add(callers, owner === undefined ? "the runtime (sockets, event loop, collector)" : nameOf(owner), time_us);
    add(functions, nameOf(node), time_us);
  }
  const rows = (of: Map<string, number>, shown: number) =>
    [...of]
      .sort((a, b) => b[1] - a[1])
      .slice(0, shown)
      .map(([name, time_us]) => [name, percent(time_us / total_us), number(time_us / count, 1)]);
  return [
    ...table(["product function, with what it calls in libraries", "share", "us each"], rows(callers, callers_shown)),
    "",
    ...table(["function alone", "share", "us each"], rows(functions, functions_shown)),
  ];
}

function add(to: Map<string, number>, key: string, time_us: number): void {
  to.set(key, (to.get(key) ?? 0) + time_us);
}

function isOurs({ callFrame }: ProfileNode): boolean {
  return callFrame.url.includes(join(root, "src/"));
}

/** `file function`, `package function` or `native function`. */
function nameOf({ callFrame }: ProfileNode): string {
  const { url, functionName, lineNumber } = callFrame;
  const unnamed = lineNumber < 0 ? "(unnamed)" : `line ${lineNumber}`;
  const name = functionName === "" ? unnamed : functionName;
  const path = url.replace("file://", "");
  const library = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];
  const place = library ?? (path.startsWith(root) ? path.slice(root.length + 1) : path);
  return `${place === "" || place === "[native code]" ? "native" : place} ${name}`;
}
