// Origins, web addresses and listen addresses as the configuration writes them, brought to one spelling.

const origin_pattern = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@\\\s]+\/?$/i;
const listen_pattern = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/;
const highest_port = 65_535;

/** Scheme, host and non-default port of a parsed URL in lower case; null for a URL without a host. */
function originOf(url: URL): string | null {
  return url.host === "" ? null : `${url.protocol}//${url.host}`.toLowerCase();
}

/** The one spelling of an origin (`HTTPS://Shop.example:443/` is `https://shop.example`), or null when the text is none. */
export function normaliseOrigin(text: string): string | null {
  if (!origin_pattern.test(text) || !URL.canParse(text)) return null;
  return originOf(new URL(text));
}

/** A parsed http or https URL with a host, or null. */
export function webUrl(text: string): URL | null {
  if (!/^https?:\/\/[^\s]+$/i.test(text) || !URL.canParse(text)) return null;
  return new URL(text);
}

/** Host and port of `0.0.0.0:8080`, `localhost:8080` or `[::]:8080`, or null. Port 0 lets the system choose. */
export function parseListen(text: string): { hostname: string; port: number } | null {
  const [, bracketed, plain, port] = listen_pattern.exec(text) ?? [];
  const hostname = bracketed ?? plain;
  if (hostname === undefined || port === undefined || Number(port) > highest_port) return null;
  return { hostname, port: Number(port) };
}
