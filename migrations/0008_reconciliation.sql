-- Proof that no payment is lost: what wallets held is compared with what was recorded, and so is what an index of the
-- chain tells.

-- Time of the first block, in seconds; NULL where a watch had begun before this was kept.
ALTER TABLE watches ADD COLUMN start_time INTEGER;

-- What a watched wallet held at the end of a final block: where its next comparison begins.
CREATE TABLE checkpoints (
  watch INTEGER PRIMARY KEY REFERENCES watches (id),
  block INTEGER NOT NULL,
  block_time INTEGER NOT NULL,
  units TEXT NOT NULL CHECK (units = '0' OR (units GLOB '[1-9]*' AND units NOT GLOB '*[^0-9]*')),
  -- The block of the first one: from here on every change of the balance was compared.
  since_block INTEGER NOT NULL,
  provider TEXT NOT NULL,
  checked_at INTEGER NOT NULL
) STRICT;

-- A change of a balance that recorded transfers do not explain. It happened after `from_block` and no later than `to_block`.
CREATE TABLE balance_cases (
  id INTEGER PRIMARY KEY,
  watch INTEGER NOT NULL REFERENCES watches (id),
  from_block INTEGER NOT NULL,
  from_units TEXT NOT NULL,
  to_block INTEGER NOT NULL,
  to_units TEXT NOT NULL,
  -- Base units with a sign: by how much the balance grew more than recorded transfers say.
  difference TEXT NOT NULL CHECK (ltrim(difference, '-') GLOB '[1-9]*' AND ltrim(difference, '-') NOT GLOB '*[^0-9]*'),
  opened_at INTEGER NOT NULL,
  -- How often it was looked into, when last, and who answered: the next look prefers another.
  looks INTEGER NOT NULL DEFAULT 0,
  looked_at INTEGER,
  answered_by TEXT,
  -- Why it cannot be narrowed any further, as a code; NULL while it may, and for one block.
  stuck TEXT,
  closed_at INTEGER,
  closed_because TEXT CHECK (closed_because IN ('transfers_found','explained','stated_wrongly')),
  CHECK (from_block < to_block),
  CHECK ((closed_at IS NULL) = (closed_because IS NULL))
) STRICT;
CREATE INDEX balance_cases_open ON balance_cases (watch) WHERE closed_at IS NULL;

-- How the two comparisons of each chain are doing. `missed` counts transfers they found that the scan had not.
CREATE TABLE checks (
  chain TEXT NOT NULL REFERENCES chains (chain),
  kind TEXT NOT NULL CHECK (kind IN ('balances','history')),
  provider TEXT,
  ran_at INTEGER,
  missed INTEGER NOT NULL DEFAULT 0,
  -- Transfers of ours that the index does not mention.
  doubts INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  error_at INTEGER,
  PRIMARY KEY (chain, kind)
) STRICT, WITHOUT ROWID;

-- How far transfers to a wallet were compared with an index of its chain: through `block`, and the other way through `doubted_block`.
CREATE TABLE compared (
  chain TEXT NOT NULL REFERENCES chains (chain),
  wallet TEXT NOT NULL,
  wanted_until INTEGER NOT NULL,
  block INTEGER,
  block_time INTEGER,
  doubted_block INTEGER,
  compared_at INTEGER,
  PRIMARY KEY (chain, wallet)
) STRICT, WITHOUT ROWID;
