import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measureStorage } from "./storage.ts";
import { measureHttp } from "./http.ts";
import { startNode } from "./stand.ts";
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
const bench={ quick: false, folder, rounds: 3, run_ms: 1200 };
const storage = await measureStorage({...bench,run_ms:200});
console.log(storage.lines.join("\n"));
const node = await startNode({automine:true});
const h = await measureHttp(bench, node, storage);
console.log(Object.values(h).flat().join("\n"));
await node.anvil.stop();
