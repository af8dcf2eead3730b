-- Blocks that were not read finally although later ones were: since when that holds up the release of reservations, and
-- when it stopped doing so. Wall clock, ms. A row goes when its blocks are read.
CREATE TABLE unserved_blocks (
  watch INTEGER NOT NULL REFERENCES watches (id),
  from_block INTEGER NOT NULL,
  to_block INTEGER NOT NULL CHECK (to_block >= from_block),
  found_at INTEGER NOT NULL,
  given_up_at INTEGER,
  PRIMARY KEY (watch, from_block)
) STRICT, WITHOUT ROWID;
