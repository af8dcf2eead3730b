// Rules that need all files at once: no cycles, no dead files, no dead exports.

import { type Finding, targetOf } from "./floors.ts";
import type { Source } from "./source.ts";

/** One finding for every import that closes a cycle. Type imports count. */
export function cycleFindings(sources: readonly Source[]): Finding[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const done = new Set<string>();
  const findings: Finding[] = [];
  const visit = (source: Source, trail: readonly string[]): void => {
    for (const entry of source.imports) {
      const target = targetOf(source.path, entry.specifier);
      const next = target === null ? undefined : byPath.get(target);
      if (next === undefined || done.has(next.path)) continue;
      const seen = trail.indexOf(next.path);
      if (seen < 0) {
        visit(next, [...trail, next.path]);
        continue;
      }
      const circle = [...trail.slice(seen), next.path].join(" -> ");
      const text = `closes the cycle ${circle}: move what both need into a file of its own`;
      findings.push({ path: source.path, line: entry.line, text });
    }
    done.add(source.path);
  };
  for (const source of sources) if (!done.has(source.path)) visit(source, [source.path]);
  return findings;
}

/** Files of `sources` that no chain of imports from `roots` reaches. Declarations (`.d.ts`) are not asked. */
export function deadFileFindings(sources: readonly Source[], roots: readonly string[]): Finding[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const reached = new Set<string>();
  const waiting = [...roots];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    for (const { specifier } of byPath.get(path)?.imports ?? []) {
      const target = targetOf(path, specifier);
      if (target !== null) waiting.push(target);
    }
  }
  return sources
    .filter(({ path }) => !reached.has(path) && !path.endsWith(".d.ts"))
    .map(({ path }) => ({ path, line: 1, text: `is reached from none of ${roots.join(", ")}: use it or delete it` }));
}

/**
 * Exports of `sources` that no other file of `everything` imports by name. The SDK's exports are for merchants, and a
 * type that its own file goes on to use is part of another export's shape: both are left alone.
 */
export function deadExportFindings(sources: readonly Source[], everything: readonly Source[]): Finding[] {
  const used = new Set<string>();
  for (const { path, imports } of everything) {
    for (const { specifier, names } of imports) {
      const target = targetOf(path, specifier);
      if (target !== null) for (const name of names) used.add(`${target} ${name}`);
    }
  }
  return sources
    .filter(({ path }) => !path.startsWith("src/sdk/") && !used.has(`${path} *`))
    .flatMap(({ path, exports, tokens }) =>
      exports
        .filter(({ name }) => !used.has(`${path} ${name}`))
        .filter(({ name, is_type }) => !is_type || tokens.filter(({ text }) => text === name).length < 2)
        .map(({ name, line }) => ({
          path,
          line,
          text: `exports ${name}, which no other file imports: drop \`export\`, or the name if its own file does not use it either`,
        })),
    );
}
