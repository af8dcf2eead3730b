// A provider's URL as the rest may know it: a name, and a filter for the provider's words. Keys hide in paths, queries
// and user names, so nothing of them may be shown.

export interface ProviderUrl {
  /** Host and port: the provider's name everywhere. */
  host: string;
  /** One line of at most `words_max` characters without any URL or part of ours that may be a key. */
  redact(words: string): string;
}

const words_max = 200;
/** Shorter parts of a path are names like `rpc` or `v3`. */
const secret_chars_min = 4;
const hidden = "***";

/** The parts of a provider's URL. Throws a TypeError when it is none. */
export function providerUrl(text: string): ProviderUrl {
  const url = new URL(text);
  const parts = [
    ...url.pathname.split("/"),
    ...url.searchParams.values(),
    ...url.search.slice(1).split(/[&=]/),
    url.username,
    url.password,
  ];
  const credentials = `${decoded(url.username)}:${decoded(url.password)}`;
  const secrets = [...parts, ...parts.map(decoded), Buffer.from(credentials).toString("base64")]
    .filter((part) => part.length >= secret_chars_min)
    .sort((a, b) => b.length - a.length);
  return {
    host: url.host,
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
