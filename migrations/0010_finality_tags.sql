-- Where a provider last put each finality tag of a chain, and when: a restart is no reason to take less for it.
CREATE TABLE finality_tags (
  chain TEXT NOT NULL REFERENCES chains (chain),
  tag TEXT NOT NULL CHECK (tag IN ('safe','finalized')),
  number INTEGER NOT NULL,
  hash TEXT NOT NULL,
  time INTEGER NOT NULL,
  provider TEXT NOT NULL,
  -- Wall clock (ms).
  served_at INTEGER NOT NULL,
  PRIMARY KEY (chain, tag)
) STRICT, WITHOUT ROWID;
