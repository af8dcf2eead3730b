// UUIDs as text: hyphenated, any case in, lower case out.

const uuid_pattern = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;
const uuid_random_bytes = 10;

/** The lower-case spelling of a hyphenated UUID, or null for any other form. */
export function parseUuid(text: string): string | null {
  const lower = text.toLowerCase();
  return uuid_pattern.test(lower) ? lower : null;
}

/** A UUID of version 7: `now_ms` in its first 48 bits, the ten random bytes behind it. Throws a RangeError for fewer. */
export function uuid7(now_ms: number, random: Uint8Array): string {
  if (random.length !== uuid_random_bytes) throw new RangeError(`a UUID takes ${uuid_random_bytes} random bytes`);
  const bytes = Buffer.alloc(16);
  bytes.writeUIntBE(now_ms, 0, 6);
  bytes.set(random, 6);
  bytes[6] = 0x70 | (bytes.readUInt8(6) & 0x0f);
  bytes[8] = 0x80 | (bytes.readUInt8(8) & 0x3f);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
