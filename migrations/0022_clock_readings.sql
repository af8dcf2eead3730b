-- How the clock of a chain compares with ours, as the newest blocks of a provider tell it.
CREATE TABLE clock_readings (
  chain TEXT NOT NULL REFERENCES chains (chain),
  provider TEXT NOT NULL,
  -- The chain's clock less ours, at least, and by how much it may be more (ms).
  ahead_ms INTEGER NOT NULL,
  uncertainty_ms INTEGER NOT NULL CHECK (uncertainty_ms >= 0),
  -- Wall clock (ms).
  read_at INTEGER NOT NULL,
  PRIMARY KEY (chain, provider)
) STRICT, WITHOUT ROWID;

-- The chain's clock less ours when a deposit was opened (ms), as far as it was measured: what the times of the deposit and
-- of its order mean on the chain, also after our clock was set.
ALTER TABLE deposits ADD COLUMN opened_ahead_ms INTEGER;
