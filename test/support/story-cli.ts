// The command line beside a story: a process of its own, on the story's configuration and database.

import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fromSource } from "./appliance.ts";
import type { Story } from "./chain-story.ts";

/** The lines a command prints, without their indentation. It must end well and complain of nothing. */
export async function said(story: Story, command: string, ...args: string[]): Promise<string[]> {
  const config = join(dirname(story.files.database), "ocrch-config.toml");
  writeFileSync(config, story.files.toml, { mode: 0o600 });
  const line = [...fromSource, command, "-c", config, "--database", story.files.database, ...args];
  const child = Bun.spawn(line, { stdout: "pipe", stderr: "pipe" });
  const [out, err, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect([status, err]).toEqual([0, ""]);
  return out
    .trimEnd()
    .split("\n")
    .map((text) => text.trim());
}
