// What a signed URL is about: the orders it names and the site it belongs to. Reads only; whether that is allowed is
// decided where orders and settings are known.

/** Overlapping on purpose: a UUID may begin inside the digits of another run. */
const uuid_pattern = /(?=([\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}))/gi;
/** A URL inside the query of a URL inside a query. */
const decode_rounds_max = 3;

/** Every hyphenated UUID in a URL (path, query, fragment, percent-encoded too), lower case, each once. */
export function uuidsIn(url: string): string[] {
  const found = new Set<string>();
  let text = url;
  for (let round = 0; ; round++) {
    for (const [, uuid = ""] of text.matchAll(uuid_pattern)) found.add(uuid.toLowerCase());
    const decoded = decodeAscii(text);
    if (decoded === text || round === decode_rounds_max) return [...found];
    text = decoded;
  }
}

/**
 * Scheme, host and non-default port of a URL in the one spelling that settings use; null when it does not parse. A URL
 * without a host (`mailto:..`) gives an origin no setting can name.
 */
export function originOf(url: string): string | null {
  if (!URL.canParse(url)) return null;
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`.toLowerCase();
}

/** Percent-decoding of ASCII alone: enough for a UUID, and no sequence of bytes makes it fail. */
function decodeAscii(text: string): string {
  return text.replace(/%([0-7][\da-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
