// `npm run bench`: how fast the product is on this machine, beside references measured in the same run. Prints, and
// asserts nothing: no figure makes a run fail. `--quick` runs everything once and briefly, `--out FILE` keeps the report.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measureStorage } from "./storage.ts";
import { machine } from "./report.ts";

export interface Bench {
  quick: boolean;
  folder: string;
  rounds: number;
  run_ms: number;
}
const folder = mkdtempSync(join(tmpdir(), "ocrch-bench-"));
process.env.TMPDIR = folder;
process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
console.log(machine().join("\n"));
const storage = await measureStorage({ quick: false, folder, rounds: 3, run_ms: 1500 });
console.log(storage.lines.join("\n"));
