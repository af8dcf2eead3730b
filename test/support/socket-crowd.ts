// Thousands of WebSocket clients in a process of their own, since both ends of a socket count against one process's
// open files. Speaks the protocol itself over plain TCP: light, and every byte in sight. Commands and answers are JSON
// lines on stdin and stdout.

/** What the crowd is told to do. */
export type CrowdCommand =
  /** Opens sockets; answered once each has its first frame or was refused. */
  | { open: { path: string; headers: Record<string, string>; count: number } }
  /** Answered once every socket of the path is closed. */
  | { end: string }
  /** Sends an unasked text frame and a ping on every open socket of the path; answered when each has its pong. */
  | { chat: string };

/** Outcome to how many sockets had it: `429` for a refusal, else statuses and close code, e.g. `pending,paid 1000`. */
export type CrowdAnswer = Record<string, number>;

interface Peer {
  path: string;
  /** What came and was not yet understood. */
  rest: Buffer;
  upgraded: boolean;
  /** Status of an answer that was no upgrade. */
  refused: string | null;
  statuses: string[];
  code: number | null;
  pongs: number;
  gone: boolean;
}

const opening_at_once = 200;
const header_end = "\r\n\r\n";
const opcode = { text: 1, close: 8, ping: 9, pong: 10 };

const [port = ""] = process.argv.slice(2);
const peers: Peer[] = [];
const waiting = new Set<() => void>();

/** Resolves once `is` holds; looked at after everything that arrives. */
function once(is: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (!is()) return;
      waiting.delete(look);
      resolve();
    };
    waiting.add(look);
    look();
  });
}

function changed(): void {
  for (const look of [...waiting]) look();
}

/** A client's frame: always masked, here with zeros. */
function frame(code: number, payload = ""): Buffer {
  const body = Buffer.from(payload);
  return Buffer.concat([Buffer.from([0x80 | code, 0x80 | body.length, 0, 0, 0, 0]), body]);
}

function readFrames(peer: Peer, answer: (bytes: Buffer) => void): void {
  for (;;) {
    const { rest } = peer;
    if (rest.length < 2) return;
    const short = rest.readUInt8(1) & 0x7f;
    const start = short === 126 ? 4 : 2;
    if (rest.length < start) return;
    const length = short === 126 ? rest.readUInt16BE(2) : short;
    if (rest.length < start + length) return;
    const payload = rest.subarray(start, start + length);
    peer.rest = rest.subarray(start + length);
    const code = rest.readUInt8(0) & 0x0f;
    if (code === opcode.text) {
      const told = JSON.parse(payload.toString()) as { order?: { status: string }; reason?: string };
      peer.statuses.push(told.order?.status ?? told.reason ?? "nothing");
    } else if (code === opcode.ping) answer(frame(opcode.pong, payload.toString()));
    else if (code === opcode.pong) peer.pongs += 1;
    else if (code === opcode.close) {
      peer.code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      answer(frame(opcode.close));
    }
  }
}

function readAnswer(peer: Peer): void {
  const end = peer.rest.indexOf(header_end);
  if (end < 0) return;
  const status = peer.rest.toString("latin1", 9, 12);
  peer.rest = Buffer.from(peer.rest.subarray(end + header_end.length));
  if (status === "101") peer.upgraded = true;
  else peer.refused = status;
}

const sockets = new Map<Peer, { write(bytes: Buffer): number; end(): void }>();

async function join(path: string, headers: Record<string, string>): Promise<void> {
  const peer: Peer = {
    path,
    rest: Buffer.alloc(0),
    upgraded: false,
    refused: null,
    statuses: [],
    code: null,
    pongs: 0,
    gone: false,
  };
  peers.push(peer);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: Number(port),
    socket: {
      data(socket, bytes) {
        peer.rest = peer.rest.length === 0 ? bytes : Buffer.concat([peer.rest, bytes]);
        if (!peer.upgraded) readAnswer(peer);
        if (peer.upgraded) readFrames(peer, (answer) => void socket.write(answer));
        if (peer.refused !== null) socket.end();
        // A view would keep the whole chunk alive, ten thousand times.
        peer.rest = peer.rest.length === 0 ? Buffer.alloc(0) : Buffer.from(peer.rest);
        changed();
      },
      close() {
        peer.gone = true;
        changed();
      },
      error() {
        peer.gone = true;
        changed();
      },
    },
  });
  sockets.set(peer, socket);
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${lines.join("")}\r\n`,
  );
  await once(() => peer.refused !== null || peer.statuses.length > 0 || peer.gone);
}

function outcomes(of: readonly Peer[]): CrowdAnswer {
  const counts: CrowdAnswer = {};
  for (const peer of of) {
    const outcome = peer.refused ?? `${peer.statuses.join()} ${peer.code ?? (peer.gone ? "cut" : "open")}`;
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  return counts;
}

async function obey(command: CrowdCommand): Promise<CrowdAnswer> {
  if ("open" in command) {
    const { path, headers, count } = command.open;
    const before = peers.length;
    for (let done = 0; done < count; done += opening_at_once) {
      const part = Math.min(opening_at_once, count - done);
      await Promise.all(Array.from({ length: part }, () => join(path, headers)));
    }
    return outcomes(peers.slice(before));
  }
  if ("end" in command) {
    const own = peers.filter((peer) => peer.path === command.end && peer.refused === null);
    await once(() => own.every((peer) => peer.gone));
    return outcomes(own);
  }
  const own = peers.filter((peer) => peer.path === command.chat && peer.refused === null && !peer.gone);
  const pongs = own.map((peer) => peer.pongs);
  for (const peer of own) {
    sockets.get(peer)?.write(frame(opcode.text, "nobody listens"));
    sockets.get(peer)?.write(frame(opcode.ping, "there?"));
  }
  await once(() => own.every((peer, i) => peer.gone || peer.pongs > (pongs[i] ?? 0)));
  return outcomes(own);
}

if (import.meta.main) {
  for await (const line of console) console.log(JSON.stringify(await obey(JSON.parse(line) as CrowdCommand)));
}
