// long, 300 s
// The whole product in simulated worlds, the second thousand seeds. `npm run simulate` runs as many as wished.

import { expect, test } from "bun:test";
import { simulate } from "./simulation/child.ts";

const limit_ms = 1_800_000;

test(
  "nothing is lost, paid twice or told wrong in the second thousand of worlds",
  async () => {
    const { status, output } = await simulate("--from", "1001", "--seeds", "1000", "--steps", "60");
    expect(output).toContain("no seed failed");
    expect(output).toMatch(/^1000 seeds in /m);
    expect(status).toBe(0);
  },
  limit_ms,
);
