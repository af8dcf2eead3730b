// The manual, embedded as text: one page per question. Owns the list of topics; shows nothing by itself.

import example from "../../ocrch-config.toml" with { type: "text" };
import architecture from "./architecture.md" with { type: "text" };
import chains from "./chains.md" with { type: "text" };
import configuration from "./configuration.md" with { type: "text" };
import connect from "./connect.md" with { type: "text" };
import errors from "./errors.md" with { type: "text" };
import glossary from "./glossary.md" with { type: "text" };
import install from "./install.md" with { type: "text" };
import log from "./log.md" with { type: "text" };
import opencharge from "./opencharge.md" with { type: "text" };
import operate from "./operate.md" with { type: "text" };
import payments from "./payments.md" with { type: "text" };
import security from "./security.md" with { type: "text" };
import webhooks from "./webhooks.md" with { type: "text" };

/** Topic to page in Markdown, in the order people read them. A topic is the name of the page's file. */
export const manual: ReadonlyMap<string, string> = new Map(
  Object.entries({
    install,
    connect,
    webhooks,
    payments,
    operate,
    chains,
    opencharge,
    // The executable comes without the example, so the page brings it along.
    configuration: `${configuration}\n## Every key\n\n\`\`\`toml\n${example}\`\`\`\n`,
    errors,
    log,
    security,
    architecture,
    glossary,
  }),
);

/** The heading of a page. */
export function titleOf(page: string): string {
  return /^# (.+)$/m.exec(page)?.[1] ?? "";
}
