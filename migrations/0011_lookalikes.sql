-- Money from an address that only looks like a known one is ignored below one coin alone; more is shown with a warning.
-- Amounts are canonical: below one coin, and only there, they begin with `0.`.
DROP INDEX transfers_inbox_clean;
CREATE INDEX transfers_inbox_clean ON transfers (id)
WHERE dismissed_at IS NULL AND (reason IS NOT NULL OR reverted_at IS NOT NULL)
  AND reason IS NOT 'dust' AND (reason IS NOT 'lookalike' OR substr(amount, 1, 2) <> '0.');
