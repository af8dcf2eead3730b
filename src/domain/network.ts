// IP addresses and the networks they lie in, as numbers. Pure: resolves no name and judges nobody.

/** A range of addresses, e.g. `10.0.0.0/8`. */
export interface Network {
  family: 4 | 6;
  /** The first address. */
  base: bigint;
  /** Leading bits that all its addresses share. */
  prefix: number;
}

interface Address {
  family: 4 | 6;
  bits: bigint;
}

const widths = { 4: 32, 6: 128 } as const;
const mapped_prefix = 96;
const mapped_base = 0xffffn;
/** A customer of a provider has a whole network of this many leading bits. */
const v6_customer_prefix = 64;

/** The number of an IPv4 address: four plain decimal numbers; a leading zero could mean octal and makes it no address. */
function v4Of(text: string): bigint | null {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return null;
  return parts.reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
}

/** The number of an IPv6 address in any spelling the URL parser knows, without brackets and zone. */
export function v6Of(text: string): bigint | null {
  if (!/^[\da-f:.]*:[\da-f:.]*$/i.test(text) || !URL.canParse(`http://[${text}]/`)) return null;
  // The parser leaves groups of hexadecimal digits and at most one `::`.
  const plain = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const [left = [], right = []] = plain.split("::").map((side) => side.split(":").filter((group) => group !== ""));
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0");
  return [...left, ...zeros, ...right].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

/** An address, or null; an IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) is the IPv4 it stands for. */
function addressOf(text: string): Address | null {
  const four = v4Of(text);
  if (four !== null) return { family: 4, bits: four };
  const six = v6Of(text);
  if (six === null) return null;
  return six >> 32n === mapped_base ? { family: 4, bits: BigInt.asUintN(32, six) } : { family: 6, bits: six };
}

/** True for an IPv4 or IPv6 address. */
export function isAddress(text: string): boolean {
  return addressOf(text) !== null;
}

/** A single address or a range in CIDR notation, cut to its first address; null when the text is neither. */
export function parseNetwork(text: string): Network | null {
  const [, host = "", digits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = addressOf(host);
  if (address === null) return null;
  const { family } = address;
  const mapped = family === 4 && host.includes(":");
  const prefix = digits === undefined ? widths[family] : Number(digits) - (mapped ? mapped_prefix : 0);
  if (prefix < 0 || prefix > widths[family]) return null;
  const shift = BigInt(widths[family] - prefix);
  return { family, base: (address.bits >> shift) << shift, prefix };
}

/** True when the address lies in one of the networks. */
export function isWithin(networks: readonly Network[], text: string): boolean {
  const address = addressOf(text);
  if (address === null) return false;
  return networks.some(({ family, base, prefix }) => {
    const shift = BigInt(widths[family] - prefix);
    return family === address.family && address.bits >> shift === base >> shift;
  });
}

/** The one spelling of a network: `10.0.0.0/8`; without a prefix for a single address. */
export function formatNetwork({ family, base, prefix }: Network): string {
  const text = family === 4 ? v4Text(base) : v6Text(base);
  return prefix === widths[family] ? text : `${text}/${prefix}`;
}

/** Who shares an address: of IPv6 its whole network, else it alone. */
export function addressGroup(address: string): string {
  const network = parseNetwork(`${address}/${v6_customer_prefix}`);
  return network === null ? address : formatNetwork(network);
}

/** The IPv4 address of a number. */
export function v4Text(bits: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => String((bits >> shift) & 0xffn)).join(".");
}

function v6Text(bits: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => (bits >> BigInt(112 - 16 * index)) & 0xffffn);
  return new URL(`http://[${groups.map((group) => group.toString(16)).join(":")}]/`).hostname.slice(1, -1);
}
