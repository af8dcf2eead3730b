// The empty database of a product, migrated once and copied into every world: what creates it is tested elsewhere.

import { Database as Sqlite } from "bun:sqlite";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Product } from "./process.ts";
import { createRandom } from "./random.ts";
import { createTimeline } from "./timeline.ts";
import { createLife } from "./world.ts";

const made = new WeakMap<Product, Promise<Uint8Array>>();

/** The bytes of a database of this product's schema, without rows. */
export function templateOf(product: Product): Promise<Uint8Array> {
  const known = made.get(product) ?? make(product);
  made.set(product, known);
  return known;
}

async function make(product: Product): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), "ocrch-template-"));
  const path = join(folder, "ocrch.db");
  const nothing = () => {};
  const timeline = createTimeline({ run: (act) => act(), turnEnded: nothing });
  const { world } = createLife({
    timeline,
    wall: () => 0,
    files: new Map(),
    random: createRandom(0, "template"),
    reach: () => ({ after_ms: 0, fails: "ENOTFOUND" }),
    resolve: () => [],
    note: nothing,
    fail: nothing,
  });
  try {
    await product.migrateDatabase({ world, telemetry: product.createTelemetry(world), path });
    const db = new Sqlite(path);
    db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    db.close();
    return new Uint8Array(readFileSync(path));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
