// Addresses made to be mistaken for another: people compare the first and the last few characters. Pure text.

const compared_chars = 4;

/** What people read of an address: four characters at its start (behind `0x` or `T`) and four at its end, in small letters. */
function face(address: string): string {
  const bare = bareOf(address).toLowerCase();
  return `${bare.slice(0, compared_chars)} ${bare.slice(-compared_chars)}`;
}

function bareOf(address: string): string {
  return address.replace(/^(?:0x|T)/, "");
}

/** True for another address that a person would take for this one. Both canonical. */
export function isLookalike(address: string, known: string): boolean {
  return address !== known && address.length === known.length && face(address) === face(known);
}

/** How an address that looks like this one may begin: its first characters in every mixture of small and capital letters. */
export function lookalikePrefixes(address: string): string[] {
  const bare = bareOf(address);
  const begin = address.slice(0, address.length - bare.length);
  let heads = [begin];
  for (const char of bare.slice(0, compared_chars)) {
    const forms = new Set([char.toLowerCase(), char.toUpperCase()]);
    heads = heads.flatMap((head) => [...forms].map((form) => head + form));
  }
  return heads;
}
