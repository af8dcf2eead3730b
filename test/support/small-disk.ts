// A disk of a few mebibytes, as memory: mounted for a test and taken away after it. Needs root.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whether this process may mount. Where CI is set a test that needs it fails instead of being skipped. */
export const mayMount = process.getuid?.() === 0 || process.env.CI === "true";

export interface SmallDisk {
  path: string;
  /** Writes a file that leaves at most `left_bytes` of room. */
  fill(left_bytes: number): void;
  /** Removes that file. */
  clear(): void;
  remove(): void;
}

/** Mounts an empty disk of `bytes`. */
export function smallDisk(bytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), "ocrch-disk-"));
  run("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path);
  const filler = join(path, "filler");
  return {
    path,
    fill(left_bytes) {
      const free = Number(run("stat", "-f", "-c", "%a", path)) * statSync(path).blksize;
      try {
        writeFileSync(filler, Buffer.alloc(Math.max(0, free - left_bytes)));
      } catch (error) {
        // A server on it took some of the room meanwhile: then it is full, too.
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      }
    },
    clear: () => rmSync(filler, { force: true }),
    remove() {
      run("umount", "-l", path);
      rmSync(path, { recursive: true, force: true });
    },
  };
}

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}
