// From the start of the process to its ready line, from source and as the executable, and the executable's size.

import { statSync } from "node:fs";
import { join } from "node:path";
import { createFolder, fromSource, startAppliance } from "../support/appliance.ts";
import { memoryOf } from "./http.ts";
import { megabytes, number, spread, table } from "./report.ts";
import { type Bench, type Node, settingsText } from "./stand.ts";

const root = join(import.meta.dir, "../..");
const build_timeout_ms = 60_000;

export async function measureStartup(bench: Bench, node: Node): Promise<string[]> {
  const executable = join(bench.folder, "ocrch");
  const built = await build(executable);
  const kinds: [string, readonly string[]][] = [["from source", fromSource]];
  if (built) kinds.push(["executable", [executable]]);
  const rows: string[][] = [];
  for (const [name, command] of kinds) {
    const folder = createFolder(settingsText(node.anvil.url, node.coin.address));
    // The first start makes the database and hashes the admin secret; only what every start does is measured.
    await (await startAppliance({ folder, command })).stop();
    const ready_ms: number[] = [];
    let memory = "";
    for (let round = 0; round < bench.rounds; round++) {
      const started = performance.now();
      const server = await startAppliance({ folder, command });
      ready_ms.push(performance.now() - started);
      memory = memoryOf(server.pid);
      await server.stop();
    }
    rows.push([name, spread(ready_ms), memory]);
    folder.remove();
  }
  return [
    ...table(["start", "ms to the ready line", "resident then"], rows),
    "",
    built
      ? `- executable: ${megabytes(statSync(executable).size)} (${number(statSync(executable).size)} bytes)`
      : "- executable: could not be built",
  ];
}

/** Builds what `npm run build` builds, somewhere else. */
async function build(outfile: string): Promise<boolean> {
  const { scripts } = (await Bun.file(join(root, "package.json")).json()) as { scripts: { build: string } };
  const args = scripts.build.replace("dist/ocrch", outfile).split(" ").slice(1);
  const child = Bun.spawn([process.execPath, ...args], {
    cwd: root,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
    timeout: build_timeout_ms,
  });
  return (await child.exited) === 0;
}
