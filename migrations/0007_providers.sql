-- How providers do is written anew each time they are asked: nothing is lost with the old rows. Payments that are ripe
-- and do not count yet, because providers dispute them or a second one is silent, are told with their reason.

DROP TABLE providers;
CREATE TABLE providers (
  chain TEXT NOT NULL REFERENCES chains (chain),
  provider TEXT NOT NULL,
  calls INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  refused_answers INTEGER NOT NULL,
  learned_range INTEGER,
  last_error TEXT,
  last_error_at INTEGER,
  state TEXT NOT NULL CHECK (state IN ('well','resting','on_trial','frozen','on_probation','budget_spent')),
  state_until INTEGER,
  score INTEGER NOT NULL,
  latency_ms INTEGER,
  lag_s INTEGER,
  oldest_block INTEGER,
  -- Calls of one UTC day, counted since 1970: what a daily allowance is measured by.
  day INTEGER NOT NULL,
  day_calls INTEGER NOT NULL,
  PRIMARY KEY (chain, provider)
) STRICT, WITHOUT ROWID;

ALTER TABLE chains ADD COLUMN held_since INTEGER;
ALTER TABLE chains ADD COLUMN held_reason TEXT;
