// The rules of log codes: written out where they are logged, and none listed that nothing logs. The compiler refuses
// codes that are not listed.

import type { Finding } from "./floors.ts";
import type { Source, Token } from "./source.ts";

const table = "src/log-codes.ts";

/** Calls whose code is put together, so that `grep` would not find it. */
export function logCallFindings({ path, tokens }: Source): Finding[] {
  return tokens.flatMap((token, i) => {
    const code = codeOfCall(tokens, i) ?? [];
    const is_made = code.some(({ kind, text }) => kind === "template" || text === "+");
    if (is_made) return [{ path, line: token.line, text: "puts a log code together: write each code out" }];
    const is_chosen = isTelemetry(token) && tokens[i + 1]?.text === "[";
    return is_chosen ? [{ path, line: token.line, text: "chooses a level by name: call info, warn or error" }] : [];
  });
}

/** Listed codes that no call and no file with the type `LogCode` names. */
export function unusedLogCodes(codes: readonly string[], sources: readonly Source[]): Finding[] {
  const named = sources.flatMap(({ path, tokens, imports }) => {
    if (path === table) return [];
    const typed = imports.some(({ names }) => names.includes("LogCode"));
    return typed ? tokens : tokens.flatMap((_, i) => codeOfCall(tokens, i) ?? []);
  });
  const used = new Set(named.flatMap(({ kind, text }) => (kind === "string" ? [text] : [])));
  return codes
    .filter((code) => !used.has(code))
    .map((code) => ({ path: table, line: 1, text: `lists ${code}, which nothing logs: delete its row` }));
}

const isTelemetry = ({ kind, text }: Token) => kind === "word" && text === "telemetry";

/** The tokens of the first argument where `tokens[i]` begins a call that logs; null elsewhere. */
function codeOfCall(tokens: readonly Token[], i: number): Token[] | null {
  const token = tokens[i];
  const is_call = /^(info|warn|error)$/.test(tokens[i + 2]?.text ?? "") && tokens[i + 3]?.text === "(";
  if (token === undefined || !isTelemetry(token) || tokens[i + 1]?.text !== "." || !is_call) return null;
  const rest = tokens.slice(i + 4);
  return rest.slice(
    0,
    rest.findIndex(({ kind, text }) => kind === "mark" && (text === "," || text === ")")),
  );
}
