// The list of log codes: what the manual prints of it, what telemetry takes, and that the README names nothing that
// does not exist.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { alarmReference, logCodes, logReference } from "../../src/log-codes.ts";
import { createTelemetry } from "../../src/telemetry.ts";
import { realWorld } from "../../src/world.ts";

const root = join(import.meta.dir, "../..");
const words_per_sentence_max = 25;

const filesOf = (folder: string, end: RegExp): string[] =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((path) => end.test(path))
        .map((path) => join(root, folder, path))
    : [];

/** The codes that a reference names, and the level of each. */
const listed = (reference: string) =>
  reference
    .split("\n")
    .slice(2)
    .map(
      (line) => /^\| `([a-z]+(?:_[a-z]+)*)` \| (info|warn|error) \| [^|]+ \| [^|]+ \|$/.exec(line)?.slice(1) ?? line,
    );

describe("the reference of log codes", () => {
  const rows = Object.entries(logCodes).map(([code, { level }]) => [code, level]);

  test("has one row for each code, in alphabetical order", () => {
    expect(listed(logReference())).toEqual(rows.toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1)));
  });

  test("lists the codes of level error as alarms, each with something to do", () => {
    const alarms = listed(logReference()).filter(([, level]) => level === "error");
    expect(alarms.length).toBeGreaterThan(0);
    expect(listed(alarmReference())).toEqual(alarms);
    expect(alarmReference()).not.toContain("Nothing.");
  });

  test("speaks in short sentences", () => {
    const sentences = Object.values(logCodes).flatMap(({ meaning, cure }) => `${meaning} ${cure ?? ""}`.split(/[.;] /));
    expect(sentences.filter((sentence) => sentence.split(" ").length > words_per_sentence_max)).toEqual([]);
  });
});

test("telemetry takes listed codes of its level, and writes them as they are", () => {
  const lines: string[] = [];
  const world = { ...realWorld(), now: () => 0, warn: (line: string) => void lines.push(line) };
  const telemetry = createTelemetry(world);
  telemetry.warn("proof_waits", { retry_in_ms: 1 });
  // @ts-expect-error -- of level warn
  telemetry.info("proof_waits");
  // @ts-expect-error -- not listed
  telemetry.error("no_such_code");
  expect(lines[0]).toBe("1970-01-01T00:00:00.000Z warn proof_waits retry_in_ms=1");
});

test("every name in code style in the README and the manual is in the source or the example configuration", () => {
  const source = [...filesOf("src", /\.ts$/), join(root, "ocrch-config.toml")]
    .map((path) => readFileSync(path, "utf8"))
    .join("\n");
  const known = new Set(source.match(/[A-Za-z0-9_]+/g));
  const texts = [join(root, "README.md"), ...filesOf("src/manual", /\.md$/)].map((path) => readFileSync(path, "utf8"));
  const names = texts.flatMap((text) => [...text.matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)].map(([, name = ""]) => name));
  expect(names).toContain("proof_waits");
  expect([...new Set(names)].filter((name) => !known.has(name))).toEqual([]);
});
