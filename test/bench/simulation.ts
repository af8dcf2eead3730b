// How much simulated time the whole product lives through in a second: hostile worlds in processes of their own. Only
// hours in which the actors acted count, neither frozen nor waiting for the end of a world.

import { simulate } from "../simulation/child.ts";
import { spread, table } from "./report.ts";
import type { Bench } from "./stand.ts";

const processes = [1, 2];
/** An action in about five seconds, as CI runs it, and in a bit more than a minute, as a busy shop does. */
const paces = [
  { pace: 1, words: "an action in 5 s" },
  { pace: 15, words: "an action in 70 s" },
];

export async function measureSimulation(bench: Bench): Promise<string[]> {
  const [seeds, steps] = bench.quick ? [2, 30] : [8, 60];
  const rows: string[][] = [];
  for (const { pace, words } of paces) {
    for (const workers of processes) {
      const per_second: number[] = [];
      const hours: number[] = [];
      for (let round = 0; round < bench.rounds; round++) {
        const args = { seeds, steps, pace, workers, from: 1 + round * seeds };
        const { output } = await simulate(
          ...Object.entries(args).flatMap(([name, value]) => [`--${name}`, `${value}`]),
        );
        const [, one = "", other = ""] = / ([\d.]+) seeds\/s; .* ([\d.]+) per second$/m.exec(output) ?? [];
        per_second.push(Number(one));
        hours.push(Number(other));
      }
      const name = `${words}, ${workers} process${workers === 1 ? "" : "es"}`;
      rows.push([name, spread(per_second, 1), spread(hours, 2)]);
    }
  }
  return [
    ...table(["simulated worlds", "worlds/s", "simulated busy hours/s"], rows),
    "",
    `- ${seeds} worlds of ${steps} steps per run, starting the processes included; every step is checked`,
  ];
}
