// The files of this machine, as the real world has them. Only this file and world.ts may name node:fs.

import { isUtf8 } from "node:buffer";
import * as fs from "node:fs";
import { basename, dirname, resolve } from "node:path";

export interface Files {
  /** The text of a file, or null when there is none. Throws where it is not UTF-8, and for other failures. */
  read(path: string): string | null;
  exists(path: string): boolean;
  /** The permission bits of a file, or null when there is none. */
  mode(path: string): number | null;
  /** Bytes of a file, or null when there is none. */
  size(path: string): number | null;
  /** Which file a name leads to now, its size and its first `bytes`; null when there is none. */
  identify(path: string, bytes: number): FileIdentity | null;
  /** The path behind all symbolic links, also where the last one leads to no file yet. */
  behindLinks(path: string): string;
  /** The disk a folder is on and whether files can be made there; null when there is no such folder. */
  disk(folder: string): { free_bytes: number; writable: boolean } | null;
  /**
   * Replaces a file whole (write beside, fsync, rename), keeping mode and owner of the old one; behind a link, the file
   * it leads to. Where it throws, the old file is as it was and nothing is left beside it.
   */
  replace(path: string, text: string): void;
  /** Makes a new file that only this user may read. Throws where there is one already, and leaves none it could not write whole. */
  create(path: string, text: string): void;
  /**
   * Writes over what a file holds, in place and without fsync: after a power cut it may hold the old text. A new file
   * is durable; it gets the mode and, where this process may give it, the owner of the file `like`.
   */
  overwrite(path: string, text: string, like: string): void;
  copy(from: string, to: string): void;
  makeFolder(path: string): void;
}

export interface FileIdentity {
  /** Device and inode. */
  inode: string;
  bytes: number;
  head: Uint8Array;
}

/** As many as Linux follows. */
const links_max = 40;

/** The real files. */
export const realFiles: Files = {
  read(path) {
    let bytes: Uint8Array;
    try {
      bytes = fs.readFileSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
    return textOf(bytes);
  },
  exists: (path) => fs.existsSync(path),
  mode(path) {
    const found = fs.statSync(path, { throwIfNoEntry: false });
    return found === undefined ? null : found.mode & 0o777;
  },
  size: (path) => fs.statSync(path, { throwIfNoEntry: false })?.size ?? null,
  identify(path, bytes) {
    const found = fs.statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return null;
    const head = Buffer.alloc(bytes);
    const handle = fs.openSync(path, "r");
    try {
      const read = fs.readSync(handle, head, 0, bytes, 0);
      return { inode: `${found.dev}:${found.ino}`, bytes: found.size, head: head.subarray(0, read) };
    } finally {
      fs.closeSync(handle);
    }
  },
  behindLinks: fileBehind,
  disk(folder) {
    if (!fs.existsSync(folder)) return null;
    const { bavail, bsize } = fs.statfsSync(folder);
    return { free_bytes: bavail * bsize, writable: isWritable(folder) };
  },
  replace(named, text) {
    const old = fs.statSync(named, { throwIfNoEntry: false });
    const path = old === undefined ? named : fileBehind(named);
    const beside = `${path}.new`;
    // One that a crash left behind, or a link that somebody put there.
    fs.rmSync(beside, { force: true });
    writeNew(beside, text, (handle) => {
      if (old === undefined) return;
      fs.fchmodSync(handle, old.mode & 0o777);
      fs.fchownSync(handle, old.uid, old.gid);
    });
    try {
      fs.renameSync(beside, path);
    } catch (error) {
      fs.rmSync(beside, { force: true });
      if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
      throw new Error(`${path} is a mount of its own; mount its folder ${dirname(path)} instead`);
    }
    syncFolder(path);
  },
  create(path, text) {
    writeNew(path, text, () => {});
    syncFolder(path);
  },
  overwrite(path, text, like) {
    const handle = openExisting(path);
    if (handle === null) {
      writeNew(path, text, (made) => resemble(made, like));
      syncFolder(path);
      return;
    }
    try {
      fs.writeSync(handle, text, 0);
      fs.ftruncateSync(handle, Buffer.byteLength(text));
    } finally {
      fs.closeSync(handle);
    }
  },
  copy: (from, to) => fs.copyFileSync(from, to, fs.constants.COPYFILE_EXCL),
  makeFolder: (path) => void fs.mkdirSync(path, { recursive: true }),
};

const new_file = fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_NOFOLLOW;

/** Writes a file that is not there yet, mode 0600, whole and durable, or leaves none. `finish` sees it before it is durable. */
function writeNew(path: string, text: string, finish: (handle: number) => void): void {
  const handle = fs.openSync(path, new_file, 0o600);
  try {
    fs.writeFileSync(handle, text);
    finish(handle);
    fs.fsyncSync(handle);
    if (fs.fstatSync(handle).size !== Buffer.byteLength(text)) throw new Error(`${path} could not be written whole`);
  } catch (error) {
    fs.rmSync(path, { force: true });
    throw error;
  } finally {
    fs.closeSync(handle);
  }
}

/** A descriptor to write with, or null when there is no such file. */
function openExisting(path: string): number | null {
  try {
    return fs.openSync(path, "r+");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Gives an open file mode and owner of another one. */
function resemble(handle: number, like: string): void {
  const { mode, uid, gid } = fs.statSync(like);
  fs.fchmodSync(handle, mode & 0o777);
  try {
    fs.fchownSync(handle, uid, gid);
  } catch {
    // Only root may give a file away; anybody else made it under their own name.
  }
}

function syncFolder(path: string): void {
  const folder = fs.openSync(dirname(path), "r");
  try {
    fs.fsyncSync(folder);
  } finally {
    fs.closeSync(folder);
  }
}

/** The text of a file's bytes. Throws an error that says what the bytes are where they are not UTF-8. */
function textOf(bytes: Uint8Array): string {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
    throw new Error("it is UTF-16; save it as UTF-8");
  }
  const line = lines(bytes).findIndex((one) => !isUtf8(one));
  if (line < 0) return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  throw new Error(`line ${line + 1} is not UTF-8 but another encoding such as Latin-1; save the file as UTF-8`);
}

function lines(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let start = 0; start <= bytes.length; ) {
    const found = bytes.indexOf(0x0a, start);
    const end = found < 0 ? bytes.length : found;
    parts.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return parts;
}

/**
 * The file that a path leads to over its links. Throws for an open descriptor: it goes on reading what it was opened
 * with, whatever takes the name's place.
 */
function fileBehind(named: string): string {
  let path = named;
  for (let links = 0; links < links_max; links++) {
    const folder = fs.realpathSync(dirname(path));
    if (folder.startsWith("/proc/")) throw new Error(`${named} is an open descriptor and no file of its own`);
    if (!fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return resolve(folder, basename(path));
    path = resolve(folder, fs.readlinkSync(path));
  }
  throw new Error(`${named} leads over too many links`);
}

function isWritable(folder: string): boolean {
  try {
    fs.accessSync(folder, fs.constants.W_OK | fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
