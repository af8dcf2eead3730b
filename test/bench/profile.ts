// Where a process spent its time, read from the profile the runtime writes: by place and by function. Knows nothing of
// what ran.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { percent, table } from "./report.ts";

const root = join(import.meta.dir, "../..");
const functions_shown = 14;
const places_shown = 12;

interface ProfileNode {
  id: number;
  callFrame: { functionName: string; url: string; lineNumber: number };
  children?: number[];
}

interface Profile {
  nodes: ProfileNode[];
  samples: number[];
  timeDeltas: number[];
}

/** What to start a program with so that it writes its profile into `folder` when it ends. */
export function profiling(folder: string): string[] {
  return [process.execPath, "--cpu-prof", `--cpu-prof-dir=${folder}`, "--cpu-prof-interval=250"];
}

/** Two tables: self time by place and by function. Native work counts for whoever called it. */
export function profileLines(file: string): string[] {
  

  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, "utf8")) as Profile;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)));
  const functions = new Map<string, number>();
  const places = new Map<string, number>();
  let total = 0;
  const add = (to: Map<string, number>, key: string, time: number) => void to.set(key, (to.get(key) ?? 0) + time);
  for (const [index, id] of samples.entries()) {
    const time = timeDeltas[index] ?? 0;
    const node = byId.get(id);
    if (node === undefined || isIdle(node)) continue;
    total += time;
    add(functions, `${nameOf(node)} | ${placeOf(node)}`, time);
    let owner: ProfileNode | undefined = node;
    while (owner !== undefined && isNative(owner)) owner = byId.get(parents.get(owner.id) ?? -1);
    add(places, owner === undefined ? "the runtime itself (sockets, event loop)" : placeOf(owner), time);
  }
  const top = (of: Map<string, number>, shown: number) => [...of].sort((a, b) => b[1] - a[1]).slice(0, shown);
  return [
    ...table(
      ["place, native calls counted for their caller", "self time"],
      top(places, places_shown).map(([place, time]) => [place, percent(time / total)]),
    ),
    "",
    ...table(
      ["function", "self time", "where"],
      top(functions, functions_shown).map(([key, time]) => {
        const [name = "", place = ""] = key.split(" | ");
        return [name, percent(time / total), place];
      }),
    ),
  ];
}

function isIdle({ callFrame }: ProfileNode): boolean {
  return callFrame.functionName === "(idle)";
}

function isNative({ callFrame }: ProfileNode): boolean {
  return callFrame.url === "" || callFrame.url === "[native code]";
}

function nameOf({ callFrame }: ProfileNode): string {
  return callFrame.functionName === "" ? `(line ${callFrame.lineNumber})` : callFrame.functionName;
}

/** A file of the product, a package, or the runtime. */
function placeOf(node: ProfileNode): string {
  const { url } = node.callFrame;
  if (isNative(node)) return "native";
  const path = url.replace("file://", "");
  const found = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];
  return found ?? (path.startsWith(root) ? path.slice(root.length + 1) : path);
}
