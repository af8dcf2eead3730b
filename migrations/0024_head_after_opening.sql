-- The highest block that the chain showed just after a deposit was opened; null where no answer came in time. It may be
-- newer than the deposit: a block at or below it is older only where its own time says so.
ALTER TABLE deposits ADD COLUMN head_after_opening INTEGER;

-- By how much the chain's clock may have been further ahead when the deposit was opened, ms; belongs to `opened_ahead_ms`.
ALTER TABLE deposits ADD COLUMN opened_uncertainty_ms INTEGER;
