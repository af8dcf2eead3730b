// The oracle of the simulation is worth something only while it shares no rule with the product, and leaves little open.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { vagueness } from "./oracle/rules.ts";

const folder = join(import.meta.dir, "oracle");
const imported = /from "([^"]+)"/g;

test("the oracle imports nothing of the product", () => {
  const files = readdirSync(folder);
  const sources = files.flatMap((file) =>
    [...readFileSync(join(folder, file), "utf8").matchAll(imported)].map(([, from = ""]) => from),
  );
  expect(sources.length).toBeGreaterThan(files.length);
  expect(sources.filter((from) => from.includes("src/") || from.startsWith("../../"))).toEqual([]);
});

test("a run fails when the oracle leaves too much open", () => {
  const strict = new Map([
    ["stated exact", 900],
    ["stated open", 100],
    ["judged one outcome", 900],
    ["judged several outcomes", 100],
  ]);
  expect(vagueness(strict)).toEqual([]);
  expect(vagueness(new Map([...strict, ["stated open", 900]]))).toHaveLength(1);
  expect(vagueness(new Map([...strict, ["judged several outcomes", 900]]))).toHaveLength(1);
});
