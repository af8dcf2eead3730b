// A provider's URL taken apart once. Whoever holds the parts can call the provider and name it, but only `redact`
// decides what of the provider's words may be shown: keys hide in paths, queries and user names.

export interface ProviderUrl {
  /** Host and port: the provider's name everywhere. */
  host: string;
  /** Where to send requests: without user name and password, which go into a header. */
  address: string;
  headers: Record<string, string>;
  /** One line of at most `words_max` characters without any URL or part of ours that may be a key. */
  redact(words: string): string;
}

const words_max = 200;
/** Shorter parts of a path are names like `rpc` or `v3`. */
const secret_chars_min = 4;
const hidden = "***";

/** Takes a provider's URL apart. Throws a TypeError when it is none. */
export function providerUrl(text: string): ProviderUrl {
  const url = new URL(text);
  const user = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  const credentials = btoa(`${user}:${password}`);
  const headers: Record<string, string> = user + password === "" ? {} : { authorization: `Basic ${credentials}` };
  const parts = [...url.pathname.split("/"), ...url.searchParams.values(), url.username, url.password];
  const secrets = [...parts, ...parts.map(decoded), credentials]
    .filter((part) => part.length >= secret_chars_min)
    .sort((a, b) => b.length - a.length);

  const bare = new URL(url);
  bare.username = "";
  bare.password = "";
  return {
    host: url.host,
    address: bare.href,
    headers,
    redact(words) {
      let line = words.replace(/[a-z][a-z\d+.-]*:\/\/\S+/gi, linkedHost);
      for (const secret of secrets) line = line.replace(new RegExp(RegExp.escape(secret), "gi"), hidden);
      line = line.replace(/\s+/g, " ").trim();
      return line.length > words_max ? `${line.slice(0, words_max)}..` : line;
    },
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function linkedHost(link: string): string {
  return URL.canParse(link) ? new URL(link).host : hidden;
}
