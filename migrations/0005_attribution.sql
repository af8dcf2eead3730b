-- Several transfers may pay one order, an operator may say which, and what was paid may leave the chain. SQLite cannot
-- change a CHECK in place: three tables are written anew, row for row, under the ids that others refer to.

PRAGMA defer_foreign_keys = ON;

CREATE TEMP TABLE kept_transfers AS SELECT * FROM transfers;
CREATE TEMP TABLE kept_allocations AS SELECT * FROM allocations;
CREATE TEMP TABLE kept_events AS SELECT * FROM events;
DROP TABLE allocations;
DROP TABLE events;
DROP TABLE transfers;

CREATE TABLE transfers (
  id INTEGER PRIMARY KEY,
  chain TEXT NOT NULL REFERENCES chains (chain),
  tx_hash TEXT NOT NULL,
  position INTEGER NOT NULL CHECK (position >= 0),
  token TEXT NOT NULL,
  coin TEXT CHECK (coin IN ('USDT','USDC','DAI')),
  label TEXT NOT NULL,
  amount TEXT NOT NULL,
  sender TEXT NOT NULL,
  wallet TEXT NOT NULL,
  units TEXT NOT NULL CHECK (units GLOB '[1-9]*' AND units NOT GLOB '*[^0-9]*'),
  block_number INTEGER NOT NULL,
  block_hash TEXT NOT NULL,
  block_time INTEGER NOT NULL,
  log_index INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN
    ('waiting_for_confirmation','failed_to_confirm','waiting_for_match','no_matched_deposit','matched')),
  finality TEXT NOT NULL,
  -- The deposit this transfer pays, from sight on; `part`: one of several that pay it together.
  deposit INTEGER REFERENCES deposits (id),
  part INTEGER NOT NULL DEFAULT 0 CHECK (part IN (0, 1)),
  -- Why it waits for a person, and whose it probably is.
  reason TEXT,
  likely_order TEXT REFERENCES orders (id),
  -- The newest deposit there was when its transaction was first seen: later ones were not what it was sent for.
  newest_deposit INTEGER,
  seen_at INTEGER NOT NULL,
  confirmed_at INTEGER,
  -- Its block left the chain although its policy had been met; cleared when its transaction is mined again.
  reverted_at INTEGER,
  -- An operator has seen to it: no longer in the inbox.
  dismissed_at INTEGER,
  UNIQUE (chain, tx_hash, position),
  CHECK (part = 0 OR deposit IS NOT NULL),
  CHECK (reverted_at IS NULL OR confirmed_at IS NOT NULL),
  CHECK ((confirmed_at IS NULL) = (status IN ('waiting_for_confirmation','failed_to_confirm')))
) STRICT;
CREATE UNIQUE INDEX transfers_one_per_deposit ON transfers (deposit) WHERE deposit IS NOT NULL AND part = 0;
CREATE INDEX transfers_deposit ON transfers (deposit) WHERE deposit IS NOT NULL;
CREATE INDEX transfers_sender ON transfers (chain, sender, deposit) WHERE deposit IS NOT NULL;
CREATE INDEX transfers_part ON transfers (chain, sender, deposit) WHERE part = 1;
CREATE INDEX transfers_payer ON transfers (chain, wallet, sender) WHERE deposit IS NOT NULL;
CREATE INDEX transfers_inbox ON transfers (id) WHERE dismissed_at IS NULL AND (reason IS NOT NULL OR reverted_at IS NOT NULL);
CREATE INDEX transfers_wallet ON transfers (wallet, id, status, chain, label);
CREATE INDEX transfers_waiting ON transfers (chain, status, block_number) WHERE status = 'waiting_for_confirmation';
CREATE INDEX transfers_block ON transfers (chain, block_number);
CREATE INDEX transfers_amount ON transfers (chain, coin, wallet, units);

-- A transfer pays at most one order; an order may be paid by several. `kind` says how that was decided.
CREATE TABLE allocations (
  id INTEGER PRIMARY KEY,
  transfer INTEGER NOT NULL REFERENCES transfers (id),
  order_id TEXT NOT NULL REFERENCES orders (id),
  kind TEXT NOT NULL CHECK (kind IN ('match','part','tolerance','over','claim','assign')),
  created_at INTEGER NOT NULL,
  reversed_at INTEGER
) STRICT;
CREATE UNIQUE INDEX allocations_live ON allocations (transfer) WHERE reversed_at IS NULL;
CREATE INDEX allocations_order ON allocations (order_id);

-- The gap-free log. No AUTOINCREMENT and no conflict clause: both can burn numbers.
CREATE TABLE events (
  n INTEGER PRIMARY KEY,
  type TEXT NOT NULL CHECK (type IN
    ('order_created','deposit_opened','transfer_seen','transfer_dropped','transfer_confirmed',
     'order_status_changed','unknown_transfer','order_part_paid','payment_reverted','payment_restored',
     'transfer_assigned','transfer_dismissed')),
  order_id TEXT REFERENCES orders (id),
  transfer INTEGER REFERENCES transfers (id),
  body TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX events_order ON events (order_id, n) WHERE order_id IS NOT NULL;

CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are never changed');
END;
CREATE TRIGGER events_never_go BEFORE DELETE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are never deleted');
END;

INSERT INTO transfers (id, chain, tx_hash, position, token, coin, label, amount, sender, wallet, units, block_number, block_hash, block_time,
  log_index, status, finality, deposit, reason, likely_order, seen_at, confirmed_at)
  SELECT id, chain, tx_hash, position, token, coin, label, amount, sender, wallet, units, block_number, block_hash, block_time,
  log_index, status, finality, deposit, reason, likely_order, seen_at, confirmed_at
  FROM kept_transfers;
INSERT INTO allocations (id, transfer, order_id, kind, created_at, reversed_at) SELECT id, transfer, order_id, kind, created_at, reversed_at FROM kept_allocations;
INSERT INTO events (n, type, order_id, transfer, body, created_at) SELECT n, type, order_id, transfer, body, created_at FROM kept_events;
DROP TABLE kept_transfers;
DROP TABLE kept_allocations;
DROP TABLE kept_events;

-- What is still owed after a part of a deposit was paid is promised to its payer like the whole.
ALTER TABLE slots ADD COLUMN rest INTEGER NOT NULL DEFAULT 0 CHECK (rest IN (0, 1));

-- Promises by size: canonical integer texts of one length compare as numbers. And those that expect one sender.
CREATE INDEX slots_size ON slots (chain, coin, wallet, length(units), units);
CREATE INDEX slots_sender ON slots (sender, chain, coin, wallet) WHERE sender <> '';
