// The client's types of the server's JSON are those that the server's schemas make.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const client = join(import.meta.dir, "../../src/sdk");
const scratch = mkdtempSync(join(tmpdir(), "ocrch-sdk-shapes-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test('the SDK has the shapes of the server: "npm run build:sdk" writes them', () => {
  const made = Bun.spawnSync([process.execPath, join(client, "shapes.mjs"), scratch], { stderr: "pipe" });
  expect(`${made.stdout}${made.stderr}`).toBe("");
  expect(readdirSync(scratch).sort()).toEqual(["admin-shapes.ts", "shapes.ts"]);
  for (const file of readdirSync(scratch))
    expect(readFileSync(join(client, file), "utf8")).toBe(readFileSync(join(scratch, file), "utf8"));
});
