// The two errors a shop's code may meet. Carries what Ocrch said, never a secret and never a whole page of a proxy.

const text_max_chars = 2048;

/** Ocrch refused a request or did not answer it. */
export class OcrchError extends Error {
  override readonly name = "OcrchError";
  /** HTTP status; 0 when no answer came: connection refused or cut, or too late. */
  readonly status: number;
  /** What Ocrch said, e.g. `order is not pending`; in our words when it said nothing. */
  readonly text: string;
  /** Seconds after which Ocrch asks to be tried again. */
  readonly retry_after_s: number | null;

  /** @param more `retry_after_s` of the answer, and the error that lies behind this one. */
  constructor(status: number, text: string, more: { retry_after_s?: number | null; cause?: unknown } = {}) {
    const said = text === "" ? "nothing said" : text.slice(0, text_max_chars);
    super(status === 0 ? said : `${status} ${said}`, more.cause === undefined ? {} : { cause: more.cause });
    this.status = status;
    this.text = said;
    this.retry_after_s = more.retry_after_s ?? null;
  }
}

/**
 * Why a webhook was not believed: it carries no signature, its headers cannot be read, no secret of yours made the
 * signature, it is too old or from the future, or its body is no event this version knows.
 */
export type WebhookProblem =
  | "missing_signature"
  | "malformed_signature"
  | "wrong_signature"
  | "stale_timestamp"
  | "unknown_event";

/** A webhook that `verifyWebhook` refused. Answer it with 400 and change nothing. */
export class WebhookError extends Error {
  override readonly name = "WebhookError";
  /** Why, for your log. */
  readonly problem: WebhookProblem;

  constructor(problem: WebhookProblem) {
    super(problem.replaceAll("_", " "));
    this.problem = problem;
  }
}

/** Whether the same request may well succeed later: no answer, a timeout, too many requests, or a fault of the server. */
export function isPassing(error: unknown): error is OcrchError {
  return (
    error instanceof OcrchError && (error.status === 0 || [408, 429].includes(error.status) || error.status >= 500)
  );
}
