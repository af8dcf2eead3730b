// The install script, run as an operator would: a real shell, real files, in a folder of its own.

import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "smol-toml";

const repository = join(import.meta.dir, "../..");
const folder = mkdtempSync(join(tmpdir(), "ocrch-install-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sample = `# A sample.
[admin]
# secret = "not this one"
secret = "change-me-admin" # keep "this" comment

[merchant]
name = "secret = shop"
  secret='change-me-merchant'

[[wallets]]
secret = "a wallet has none"
`;

let checkouts = 0;

/** A folder with the script, a template and an executable, and an empty machine beside it. */
function checkout(template: string | null = sample) {
  const place = join(folder, `machine ${++checkouts}`);
  const here = join(place, "checkout");
  mkdirSync(here, { recursive: true });
  copyFileSync(join(repository, "install.sh"), join(here, "install.sh"));
  if (template !== null) writeFileSync(join(here, "ocrch-config.toml"), template);
  const binary = join(here, "built");
  writeFileSync(binary, "#!/bin/sh\necho first\n");
  const prefix = join(place, "usr");
  const config = join(place, "etc", "ocrch", "ocrch-config.toml");
  const options = ["--binary", binary, "--prefix", prefix, "--config", config];
  const run = (args: readonly string[], env: Record<string, string> = {}) => {
    const ended = spawnSync("sh", [join(here, "install.sh"), ...args], {
      cwd: place,
      env: { PATH: process.env.PATH ?? "", HOME: place, ...env },
      encoding: "utf8",
    });
    return { status: ended.status, out: ended.stdout, err: ended.stderr };
  };
  return { place, here, binary, prefix, config, options, run, installed: join(prefix, "bin", "ocrch") };
}

const read = (path: string) => readFileSync(path, "utf8");
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

interface Written {
  admin: { secret: string };
  merchant: { secret: string };
  database?: { path: string };
}

const written = (path: string) => parse(read(path)) as unknown as Written;

describe("install.sh", () => {
  test("installs the executable and a configuration that only its owner reads", () => {
    const { config, installed, options, run } = checkout();
    expect(run(options)).toMatchObject({ status: 0, err: "" });
    expect(read(installed)).toBe("#!/bin/sh\necho first\n");
    expect([mode(installed), mode(config), mode(join(config, ".."))]).toEqual(["755", "600", "700"]);
    expect(readdirSync(join(config, ".."))).toEqual(["ocrch-config.toml"]);
  });

  test("puts two fresh secrets into the configuration, changes nothing else and prints neither", () => {
    const first = checkout();
    const second = checkout();
    const { out } = first.run(first.options);
    second.run(second.options);
    const secrets = [first.config, second.config].flatMap((path) => [
      written(path).admin.secret,
      written(path).merchant.secret,
    ]);
    expect(new Set(secrets).size).toBe(4);
    for (const secret of secrets) expect(secret).toMatch(/^[0-9a-f]{64}$/);
    for (const secret of secrets) expect(out).not.toContain(secret);
    expect(out).toContain(first.config);
    const [admin, merchant] = secrets;
    expect(read(first.config)).toBe(
      sample
        .replace(`"change-me-admin"`, `"${admin}"`)
        .replace(`  secret='change-me-merchant'`, `secret = "${merchant}"`),
    );
  });

  test("run again, keeps an edited configuration and replaces an older executable", () => {
    const { binary, config, installed, options, run } = checkout();
    run(options);
    writeFileSync(config, "edited");
    const inode = statSync(installed).ino;
    expect(run(options)).toMatchObject({ status: 0, err: "" });
    expect([read(config), mode(config), statSync(installed).ino]).toEqual(["edited", "600", inode]);
    writeFileSync(binary, "#!/bin/sh\necho second\n");
    expect(run(options).status).toBe(0);
    expect([read(config), read(installed)]).toEqual(["edited", "#!/bin/sh\necho second\n"]);
  });

  test("refuses a template without both secrets and installs nothing", () => {
    for (const template of [
      sample.replace("[merchant]", "[shop]"),
      sample.replace(/^secret/m, "# secret"),
      sample.replace(`"change-me-admin"`, "12"),
      null,
    ]) {
      const { config, installed, options, run } = checkout(template);
      expect(run(options)).toMatchObject({ status: 1, err: expect.stringContaining("ocrch-config.toml") });
      expect([existsSync(config), existsSync(installed)]).toEqual([false, false]);
    }
  });

  test("answers a wrong flag or a missing value with 2 and does nothing", () => {
    for (const args of [["--nope"], ["nope"], ["--prefix"], ["--prefix", ""], ["--config="], ["-x"]]) {
      const { options, place, run } = checkout();
      expect(run([...options, ...args])).toMatchObject({ status: 2, out: "", err: expect.stringContaining("--help") });
      expect(readdirSync(place)).toEqual(["checkout"]);
    }
  });

  test("says what it would do under --dry-run and does nothing", () => {
    const { config, installed, options, place, run } = checkout();
    const { status, out } = run([...options, "--dry-run"]);
    expect(status).toBe(0);
    expect(out).toContain(`would: install ${installed}`);
    expect(out).toContain(`would: create ${config}`);
    expect(readdirSync(place)).toEqual(["checkout"]);
  });

  test("explains every option under --help", () => {
    const { status, out } = checkout().run(["--help"]);
    expect(status).toBe(0);
    for (const option of read(join(repository, "install.sh")).matchAll(/^ {4}(--[a-z-]+)\)/gm))
      expect(out).toContain(`  ${option[1]} `);
  });

  test("builds from the checkout when no executable is given", () => {
    const { config, here, installed, place, prefix, run } = checkout();
    const options = ["--prefix", prefix, "--config", config];
    expect(run(options)).toMatchObject({ status: 1, err: expect.stringContaining("--binary") });
    writeFileSync(join(here, "package.json"), "{}");
    mkdirSync(join(place, "bin"));
    const npm = `#!/bin/sh\necho "$@" >>calls\n[ "$3" = setup ] || { mkdir -p dist && echo built >dist/ocrch; }\n`;
    writeFileSync(join(place, "bin", "npm"), npm);
    chmodSync(join(place, "bin", "npm"), 0o755);
    expect(run(options, { PATH: `${join(place, "bin")}:${process.env.PATH}` })).toMatchObject({ status: 0, err: "" });
    expect(read(join(here, "calls"))).toBe("run -s setup\nrun -s build\n");
    expect([read(installed), mode(installed)]).toEqual(["built\n", "755"]);
  });
});

describe("install.sh --systemd", () => {
  /** Units cannot name paths with spaces: a machine in a plain folder. */
  function machine(template = sample) {
    const made = checkout(template);
    const place = mkdtempSync(join(folder, "plain-"));
    const config = join(place, "etc", "ocrch", "ocrch-config.toml");
    const units = join(place, "units");
    const options = ["--binary", made.binary, "--prefix", place, "--config", config, "--systemd", "--unit-dir", units];
    return { ...made, place, config, options, unit: join(units, "ocrch.service") };
  }

  test("writes a unit for these paths and the commands to run next", () => {
    const { config, options, place, run, unit } = machine();
    const { status, out } = run(options);
    expect(status).toBe(0);
    expect(mode(unit)).toBe("644");
    const lines = read(unit).split("\n");
    expect(lines).toContain(`ExecStart=${place}/bin/ocrch serve --migrate -c ${config}`);
    expect(lines).toContain(`ReadWritePaths=${join(config, "..")}`);
    for (const line of [
      "ExecReload=/bin/kill -HUP $MAINPID",
      "Restart=always",
      "LimitNOFILE=65536",
      "StateDirectory=ocrch",
      "NoNewPrivileges=yes",
      "ProtectSystem=strict",
      "User=ocrch",
    ])
      expect(lines).toContain(line);
    expect(lines.filter((line) => line.startsWith("MemoryDenyWriteExecute"))).toEqual([]);
    expect(
      out
        .trimEnd()
        .split("\n")
        .slice(-3)
        .map((line) => line.trim().split(" ")[0]),
    ).toEqual(["id", "chown", "systemctl"]);
  });

  test("run again, keeps the same unit and replaces another", () => {
    const { options, run, unit } = machine();
    run(options);
    const [first, inode] = [read(unit), statSync(unit).ino];
    run(options);
    expect(statSync(unit).ino).toBe(inode);
    writeFileSync(unit, "[Unit]\n");
    expect(run(options).status).toBe(0);
    expect(read(unit)).toBe(first);
  });

  const rows: [title: string, section: string, lines: string][] = [
    ["there is no such section", "", ""],
    ["the section is a comment", "# [database]\n# One file.\n# path = 'ocrch.db'\n\n# [orders]\n", "path ="],
    ["the path is a comment", "[database]\n# path = 'ocrch.db'\n[orders]\nlifetime = '60m'\n", "lifetime ="],
    ["the section is empty", "[database]\n[orders]\nlifetime = '60m'\n", "lifetime ="],
    ["the path is set", "[database]\npath = 'ocrch.db' # here\n", "# here"],
  ];
  for (const [title, section, kept] of rows)
    test(`puts the database where the service may write when ${title}`, () => {
      const { config, options, run } = machine(sample + section);
      expect(run(options).status).toBe(0);
      expect(written(config).database).toEqual({ path: "/var/lib/ocrch/ocrch.db" });
      expect(read(config)).toContain(kept);
      expect(read(config)).toContain(`secret = "a wallet has none"`);
    });

  test("takes this repository's own configuration as template", () => {
    const { config, options, run } = machine(read(join(repository, "ocrch-config.toml")));
    expect(run(options).status).toBe(0);
    expect(read(config)).not.toContain("change-me");
    expect(written(config)).toMatchObject({
      admin: { secret: expect.stringMatching(/^[0-9a-f]{64}$/) },
      merchant: { secret: expect.stringMatching(/^[0-9a-f]{64}$/) },
      database: { path: "/var/lib/ocrch/ocrch.db" },
    });
  });

  test("refuses paths the service could not use or should not own", () => {
    const { binary, place, run } = machine();
    const rows: [prefix: string, config: string, expected: string][] = [
      ["/usr/local", "/etc/ocrch.toml", "one of its own"],
      ["/usr/local", "/root/ocrch/c.toml", "below a home"],
      ["/home/me", "/etc/ocrch/c.toml", "below a home"],
      ["/opt/my shop", "/etc/ocrch/c.toml", "letters, digits"],
      ["/opt/%n", "/etc/ocrch/c.toml", "letters, digits"],
    ];
    for (const [prefix, config, expected] of rows) {
      const args = ["--binary", binary, "--prefix", prefix, "--config", config, "--systemd", "--dry-run"];
      expect(run(args)).toMatchObject({ status: 1, out: "", err: expect.stringContaining(expected) });
    }
    expect(readdirSync(place)).toEqual([]);
  });
});
