// The plan of the house: which room stands on which floor, and what its imports may therefore name.

import { posix } from "node:path";
import type { Import, Source } from "./source.ts";

export interface Finding {
  path: string;
  line: number;
  /** What is wrong, and what to use instead. */
  text: string;
}

export interface Room {
  /** As the architecture page writes it. */
  name: string;
  floor: number;
  /** Paths below `src/`: a file, or a folder with a slash at its end. */
  holds: readonly string[];
}

const room = (floor: number, name: string, ...more: string[]): Room => ({ floor, name, holds: [name, ...more] });

/** The files that may name what the World stands for. */
export const real_world: readonly string[] = ["src/world.ts", "src/files.ts"];

/** Every room of `src/`, an inner one before the one around it. A file imports from its own room and from strictly lower floors. */
export const rooms: readonly Room[] = [
  room(5, "cli/", "main.ts"),
  room(4, "app.ts", "extensions.ts"),
  room(3, "http/"),
  room(3, "workers/scan/"),
  room(3, "workers/confirm/"),
  room(3, "workers/reconcile/"),
  room(3, "workers/doctor/"),
  room(3, "workers/"),
  room(3, "sdk/"),
  room(2, "services/"),
  room(2, "chains/"),
  room(1, "storage/engine/"),
  room(1, "storage/"),
  room(1, "wire/"),
  room(1, "config/"),
  room(1, "outbound.ts"),
  room(1, "limits/"),
  room(0, "domain/"),
  room(0, "world.ts", "files.ts"),
  room(0, "telemetry.ts", "log-codes.ts"),
  room(0, "manual/"),
  // An extension has floors of its own, each half a floor above the room of the core that it builds on.
  room(4.5, "opencharge/cli/"),
  room(3.8, "opencharge/opencharge.ts"),
  room(3.5, "opencharge/http/"),
  room(2.5, "opencharge/services/"),
  room(1.5, "opencharge/storage/"),
  room(1.5, "opencharge/wire/"),
  room(1.5, "opencharge/config/"),
  room(0.5, "opencharge/domain/"),
];

/** Folders that can be taken out of the product, each with the only imports that name it from outside. */
const extensions: readonly { folder: string; entries: Readonly<Record<string, string>> }[] = [
  {
    folder: "src/opencharge/",
    entries: {
      "src/extensions.ts": "src/opencharge/opencharge.ts",
      "src/cli/program.ts": "src/opencharge/cli/commands.ts",
    },
  },
];

interface Door {
  from: string;
  to: string;
  type_only: boolean;
  reason: string;
}

/** Imports allowed against the rule of floors, or to files outside `src/`. Rooms or prefixes from the root. */
const doors: readonly Door[] = [
  {
    from: "telemetry.ts",
    to: "src/world.ts",
    type_only: true,
    reason: "a log line needs the clock and the world's stderr",
  },
  {
    from: "storage/",
    to: "src/storage/engine/",
    type_only: false,
    reason: "tables are read and written through the connection",
  },
  {
    from: "storage/engine/",
    to: "src/storage/hooks.ts",
    type_only: true,
    reason: "a database carries the hooks that it was opened with",
  },
  {
    from: "storage/engine/",
    to: "migrations/",
    type_only: false,
    reason: "migrations are imported as text, so the executable holds them",
  },
  {
    from: "workers/",
    to: "src/workers/",
    type_only: false,
    reason: "the loops of a chain are composed of what the inner rooms do",
  },
  {
    from: "workers/scan/",
    to: "src/workers/confirm/",
    type_only: false,
    reason: "a poll ends with the confirmation of what it read",
  },
  {
    from: "workers/reconcile/",
    to: "src/workers/scan/",
    type_only: false,
    reason: "what a comparison finds missing is looked up and proved as the scan does it",
  },
  {
    from: "opencharge/cli/",
    to: "src/cli/",
    type_only: false,
    reason: "an extension's commands are written with the tools of all commands",
  },
  { from: "cli/", to: "package.json", type_only: false, reason: "`ocrch --version`" },
  { from: "http/", to: "package.json", type_only: false, reason: "the version in /health and in the API description" },
  {
    from: "manual/",
    to: "ocrch-config.toml",
    type_only: false,
    reason: "the executable comes without the example, so the manual brings it along",
  },
];

/** Imports refused although the floors allow them. */
const walls: readonly { from: string; to: string; instead: string }[] = [
  { from: "http/", to: "src/storage/", instead: "ask a service for what is shown" },
  { from: "opencharge/http/", to: "src/storage/", instead: "ask a service for what is shown" },
  { from: "opencharge/http/", to: "src/opencharge/storage/", instead: "ask a service for what is shown" },
];

/** The room a file of `src/` belongs to; null when the plan has none for it. */
export function roomOf(path: string): Room | null {
  const inside = path.startsWith("src/") ? path.slice("src/".length) : null;
  if (inside === null) return null;
  const holds = (place: string) => (place.endsWith("/") ? inside.startsWith(place) : inside === place);
  return rooms.find((room) => room.holds.some(holds)) ?? null;
}

/** The path from the root that a relative import names; null for a package. */
export function targetOf(from: string, specifier: string): string | null {
  return specifier.startsWith(".") ? posix.join(posix.dirname(from), specifier) : null;
}

/** Node's modules that touch nothing outside the process. */
const pure_node_modules = ["node:buffer", "node:crypto", "node:path", "node:url", "node:util"];

/** Packages with one home each. */
const homes: readonly { package: string; home: string; instead: string }[] = [
  { package: "decimal.js", home: "src/domain/money.ts", instead: "use the verbs of domain/money.ts" },
  { package: "tronweb", home: "src/domain/address.ts", instead: "use the verbs of domain/address.ts" },
  { package: "drizzle-orm", home: "src/storage/ or src/opencharge/storage/", instead: "ask storage/ for a verb" },
  { package: "bun:sqlite", home: "src/storage/", instead: "ask storage/ for a verb" },
  { package: "hono", home: "src/http/", instead: "keep HTTP in http/" },
  { package: "citty", home: "src/cli/ or src/main.ts", instead: "keep the command line in cli/" },
  { package: "canonicalize", home: "src/opencharge/wire/", instead: "use the verbs of opencharge/wire/canonical.ts" },
  { package: "@noble/curves", home: "src/opencharge/wire/", instead: "use the verbs of opencharge/wire/keys.ts" },
  { package: "smol-toml", home: "src/config/", instead: "read settings through config/" },
];

/** Refuses imports that go up, sideways, out of `src/`, without `.ts`, or to a package that is not theirs to use. */
export function importFindings(source: Source, dependencies: readonly string[]): Finding[] {
  if (source.path.endsWith(".d.ts")) return [];
  const own = roomOf(source.path);
  if (own === null) {
    const text =
      "belongs to no room of the house: move it into one, or add the room to test/house/floors.ts and src/manual/architecture.md";
    return [{ path: source.path, line: 1, text }];
  }
  return source.imports.flatMap((entry) => {
    const target = targetOf(source.path, entry.specifier);
    const text =
      target === null
        ? packageFault(source.path, entry, dependencies)
        : (extensionFault(source.path, target) ?? pathFault(own, entry, target));
    return text === null ? [] : [{ path: source.path, line: entry.line, text }];
  });
}

function packageFault(path: string, { specifier }: Import, dependencies: readonly string[]): string | null {
  if (specifier.startsWith("node:") || specifier === "bun") {
    if (real_world.includes(path) || pure_node_modules.includes(specifier)) return null;
    return `imports ${specifier}: only src/world.ts may; take what you need from World`;
  }
  const home = homes.find((entry) => specifier === entry.package || specifier.startsWith(`${entry.package}/`));
  if (home && !home.home.split(" or ").some((place) => (place.endsWith("/") ? path.startsWith(place) : path === place)))
    return `imports ${specifier}, which only ${home.home} may: ${home.instead}`;
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  if (specifier.startsWith("bun:") || dependencies.includes(name)) return null;
  return `imports ${specifier}, which is no dependency in package.json: use a declared one, or declare it`;
}

function extensionFault(path: string, target: string): string | null {
  const extension = extensions.find(({ folder }) => target.startsWith(folder) && !path.startsWith(folder));
  if (extension === undefined || extension.entries[path] === target) return null;
  const { folder, entries } = extension;
  return `imports ${target}: the product must build without ${folder}; only ${Object.keys(entries).join(" and ")} name it, the core asks by storage/hooks.ts`;
}

function pathFault(own: Room, entry: Import, target: string): string | null {
  const door = doors.find((door) => door.from === own.name && target.startsWith(door.to));
  if (door && (entry.type_only || !door.type_only)) return null;
  if (door) return `may import only types from ${door.to} (${door.reason}): write \`import type\``;
  if (!target.startsWith("src/"))
    return `imports ${entry.specifier} from outside src/: move it in, or open a door in test/house/floors.ts`;
  if (!target.endsWith(".ts") && entry.attribute === null)
    return `imports ${entry.specifier}: write the path with its \`.ts\` ending`;
  const wall = walls.find((wall) => wall.from === own.name && target.startsWith(wall.to));
  if (wall) return `imports ${entry.specifier}: ${wall.instead}`;
  const other = roomOf(target);
  if (other === null)
    return `imports ${entry.specifier}, which belongs to no room: give it one in test/house/floors.ts`;
  if (other === own || other.floor < own.floor) return null;
  const names = `${own.name} (floor ${own.floor}) imports ${other.name} (floor ${other.floor})`;
  return other.floor > own.floor
    ? `${names}: never up; take what you need as a parameter, the floor above passes it in`
    : `${names}: never sideways; move the shared noun to a lower floor, or let the floor above bring the two together`;
}
