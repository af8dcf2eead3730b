// Builds the package into dist/: JavaScript and types, once as ESM and once as CommonJS. Needs Node.js and TypeScript.
// Beside the server's source it brings assets.ts up to date first, and where there is Bun the shapes.

import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import "./assets.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const manifest = createRequire(import.meta.url).resolve("typescript/package.json");
const tsc = join(dirname(manifest), JSON.parse(readFileSync(manifest, "utf8")).bin.tsc);

const bun = join(here, "../../node_modules/.bin/bun");
// The placeholder of a Bun that was installed without scripts fails, and its shapes are those of the repository.
if (existsSync(join(here, "../wire")) && spawnSync(bun, ["--version"]).status === 0)
  execFileSync(bun, [join(here, "shapes.mjs")], { stdio: "inherit" });

const formats = [
  { name: "esm", type: "module", flags: [] },
  {
    ...{ name: "cjs", type: "commonjs" },
    flags: ["--module", "commonjs", "--moduleResolution", "bundler", "--verbatimModuleSyntax", "false"],
  },
];

rmSync(dist, { recursive: true, force: true });
for (const { name, type, flags } of formats) {
  const folder = join(dist, name);
  execFileSync(process.execPath, [tsc, "-p", here, "--outDir", folder, ...flags], { stdio: "inherit" });
  writeFileSync(join(folder, "package.json"), `{ "type": "${type}" }\n`);
  // The compiler rewrites imports of `.ts` files in JavaScript only, and TypeScript before 5 refuses them in types.
  for (const file of readdirSync(folder).filter((file) => file.endsWith(".d.ts"))) {
    const text = readFileSync(join(folder, file), "utf8");
    writeFileSync(join(folder, file), text.replaceAll(/(from "\.\/[a-z-]+)\.ts"/g, '$1.js"'));
  }
}
const license = join(here, "../../LICENSE");
if (existsSync(license)) copyFileSync(license, join(dist, "LICENSE"));
