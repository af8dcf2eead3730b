// Where a redirect points, in words that a log may hold. Follows none.

const redirect_statuses: readonly number[] = [301, 302, 303, 307, 308];
const target_max_chars = 200;
/** A part of a path with a digit in it that is so long may be a key. */
const key_chars_min = 16;

/** Whether a client would be sent elsewhere by an answer with this status. */
export function isRedirect(status: number): boolean {
  return redirect_statuses.includes(status);
}

/**
 * What is wrong with an answer that is a redirect: scheme, host and path of its target and that it was not followed.
 * Credentials, query, fragment and parts of the path that may be keys are left out. Null for every other answer.
 */
export function redirectProblem(status: number, location: string | null, asked: URL): string | null {
  if (!isRedirect(status)) return null;
  const target = targetOf(location, asked);
  return `redirected ${target === null ? "without saying where to" : `to ${target}`}; redirects are not followed`;
}

function targetOf(location: string | null, asked: URL): string | null {
  if (location === null || !URL.canParse(location, asked.href)) return null;
  const { protocol, origin, pathname } = new URL(location, asked.href);
  if (protocol !== "http:" && protocol !== "https:") return null;
  const path = pathname.split("/").map((part) => (mayBeKey(part) ? "..." : part));
  return `${origin}${path.join("/")}`.slice(0, target_max_chars);
}

function mayBeKey(part: string): boolean {
  return part.length >= key_chars_min && /\d/.test(part);
}
