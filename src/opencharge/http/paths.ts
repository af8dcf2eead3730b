// Which row a path of the network means, and the target of a request as it was signed. Knows no row by itself.

import type { OpenchargeRow } from "./row.ts";

const segment_pattern = /^[A-Za-z0-9._:-]{1,256}$/;

export interface MatchedRow {
  row: OpenchargeRow;
  /** The last segment that `:id` stands for; empty without one. */
  id: string;
}

/** The row for a method and a path below the endpoint; else the methods the path has, none for an unknown path. */
export function findRow(
  rows: readonly OpenchargeRow[],
  method: string,
  path: string,
): MatchedRow | { allow: string[] } {
  const others = new Set<string>();
  for (const row of rows) {
    const id = matched(row.path, path);
    if (id === null) continue;
    if (row.method === method || (row.method === "GET" && method === "HEAD")) return { row, id };
    for (const one of row.method === "GET" ? ["GET", "HEAD"] : [row.method]) others.add(one);
  }
  return { allow: [...others] };
}

/** The text `:id` stands for, empty where the pattern has none; null for another path. */
function matched(pattern: string, path: string): string | null {
  const [wanted, given] = [pattern.split("/"), path.split("/")];
  if (wanted.length !== given.length) return null;
  let id = "";
  for (const [place, segment] of wanted.entries()) {
    const text = given[place] ?? "";
    if (segment !== ":id") {
      if (segment !== text) return null;
    } else if (segment_pattern.test(text)) id = text;
    else return null;
  }
  return id;
}

/** Path and query as they stood on the request line. */
export function targetOf(request: Request): string {
  const { url } = request;
  const start = url.startsWith("/") ? 0 : url.indexOf("/", url.indexOf("://") + 3);
  return start < 0 ? "/" : url.slice(start);
}
