// Bytes on a connection that are HTTP only almost, or not at all: what no client library would send.

import type { Attempt } from "./attempts.ts";
import type { Chance } from "./chance.ts";

const crlf = "\r\n";
const long = (length: number, letter = "a") => letter.repeat(length);
const latin1 = (text: string) => Buffer.from(text, "latin1");

/** An attempt as the bytes a correct client would send. */
export function wireBytes({ method, target, headers, body }: Attempt): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${value}`);
  const length = body === null ? [] : [`Content-Length: ${body.length}`];
  const head = [`${method} ${target} HTTP/1.1`, "Host: ocrch.example", ...lines, ...length, "", ""];
  return Buffer.concat([latin1(head.join(crlf)), body ?? Buffer.alloc(0)]);
}

/** The same attempt, spoiled on the way. */
export function brokenBytes(chance: Chance, attempt: Attempt): Buffer {
  const whole = wireBytes(attempt);
  const text = whole.toString("latin1");
  const { method, target } = attempt;
  const line = `${method} ${target} HTTP/1.1`;
  /** Inserts header lines in front of all others. */
  const withLines = (...lines: string[]) => latin1(text.replace(crlf, crlf + lines.map((one) => one + crlf).join("")));
  const firstLine = (first: string) => latin1(text.replace(line, () => first));
  const post = (...lines: string[]) =>
    latin1(["POST /api/v1/service/orders HTTP/1.1", "Host: x", "Ocrch-Signature: 1.AA==", ...lines].join(crlf));
  const flipped = () => {
    const bytes = Buffer.from(whole);
    for (let flips = 1 + chance.int(5); flips > 0; flips--) {
      const at = chance.int(bytes.length);
      bytes.writeUInt8(chance.int(256), at);
    }
    return bytes;
  };
  return chance.pick<() => Buffer>([
    () => whole,
    () => whole,
    flipped,
    flipped,
    flipped,
    () => whole.subarray(0, chance.int(whole.length)),
    () => Buffer.concat([whole, whole]),
    () => Buffer.concat([whole, Buffer.from(chance.bytes(20))]),
    () => Buffer.from(chance.bytes(1 + chance.int(2000))),
    () => Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, ...chance.bytes(500)]),
    () => latin1(`PRI * HTTP/2.0${crlf}${crlf}SM${crlf}${crlf}`),
    () => latin1(text.replaceAll(crlf, "\n")),
    () => latin1(text.replaceAll(crlf, "\r")),
    () => latin1(`${crlf}${crlf}${text}`),
    () => firstLine(`${method} ${target}`),
    () => firstLine(`${method} ${target} HTTP/1.0`),
    () => firstLine(`${method} ${target} HTTP/2.0`),
    () => firstLine(`${method} ${target} HTTP/1.1 extra`),
    () => firstLine(`${method}  ${target}  HTTP/1.1`),
    () => firstLine(`${method} http://evil.example${target} HTTP/1.1`),
    () => firstLine(`${method} * HTTP/1.1`),
    () => firstLine(`CONNECT ocrch.example:443 HTTP/1.1`),
    () => firstLine(`${long(300, "A")} ${target} HTTP/1.1`),
    () => firstLine(`${method} ${target.replace("/", "/\u0001\u007f")} HTTP/1.1`),
    () => firstLine(`${method} ${target}é\u00ff HTTP/1.1`),
    () => firstLine(`${method} ${target}?${long(20_000)} HTTP/1.1`),
    () => latin1(text.replace(/Host: .*\r\n/, "")),
    () => withLines("Host: other.example"),
    () => latin1(text.replace("Host: ocrch.example", `Host: ${chance.pick(["", "a b", "[::", "x:99999", "é", "/"])}`)),
    () => withLines(`X-Long: ${long(chance.pick([8000, 20_000, 100_000]))}`),
    () => withLines(...Array.from({ length: 300 }, (_, n) => `X-${n}: ${n}`)),
    () => withLines("X-Null: a\u0000b"),
    () => withLines(" folded: no"),
    () => withLines("No colon here"),
    () => withLines("Space : before"),
    () => withLines(": no name"),
    () => withLines("X-Cr: a\rb"),
    () => withLines("Transfer-Encoding: chunked"),
    () => withLines("Transfer-Encoding: gzip, chunked"),
    () => withLines("Transfer-Encoding: identity", "Transfer-Encoding: chunked"),
    () =>
      withLines(
        `Content-Length: ${chance.pick(["-1", "+5", "0x10", "1e3", "5, 5", "", "99999999999999999999", "5 5"])}`,
      ),
    () => withLines("Content-Length: 5", "Content-Length: 6"),
    () => post("Content-Length: 100", "", "short"),
    () => post("Transfer-Encoding: chunked", "", "5", "hello", "0", "", ""),
    () => post("Transfer-Encoding: chunked", "", "zz", "hello", "0", "", ""),
    () => post("Transfer-Encoding: chunked", "", "-1", "hello", "0", "", ""),
    () => post("Transfer-Encoding: chunked", "", "ffffffffffffffff", "hello", ""),
    () => post("Transfer-Encoding: chunked", "", `5;${long(5000)}`, "hello", "0", "", ""),
    () => post("Transfer-Encoding: chunked", "", "5", "hello", "0", `X-Trailer: ${long(50)}`, "", ""),
    () => post("Transfer-Encoding: chunked", "Content-Length: 3", "", "5", "hello", "0", "", ""),
    () => post("Expect: 100-continue", "Content-Length: 2", "", "{}"),
  ])();
}
