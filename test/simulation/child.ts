// Simulated worlds in a process of their own, for tests: the traps and planted sources stay there.

import { join } from "node:path";

const main = join(import.meta.dir, "main.ts");

export interface Simulated {
  status: number;
  output: string;
  /** How often a kind of thing happened, by `group kind`. */
  times(kind: string): number;
}

/** Runs `main.ts` with these arguments to its end. */
export async function simulate(...args: string[]): Promise<Simulated> {
  const child = Bun.spawn([process.execPath, main, ...args], { stdout: "pipe", stderr: "pipe" });
  const [out, err, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const output = out + err;
  return {
    status,
    output,
    times(kind) {
      const [group = "", ...words] = kind.split(" ");
      const line = output.split("\n").find((one) => one.startsWith(`${group}: `)) ?? "";
      const entry = line.slice(group.length + 2).split("; ");
      return Number(
        entry
          .find((one) => one.replace(/ \d+$/, "") === words.join(" "))
          ?.split(" ")
          .at(-1) ?? 0,
      );
    },
  };
}
