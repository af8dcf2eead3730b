-- Closed lists that grow with the product become rows: a new coin or chain is then no change of the schema. Each start
-- makes these tables hold the lists of the code, in src/storage/engine/lookups.ts.
--
-- A CHECK stays where other rules of the schema name the words too (statuses, passes), and where a protocol fixes them.
--
-- SQLite cannot change a CHECK in place, so the tables are written anew, row for row, with foreign keys off. Their
-- indexes and triggers go with the old tables and come back unchanged at the end, in the same order. Small tables wait in
-- memory; the others are copied once, because they may be larger than memory.

CREATE TABLE chain_ids (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE coins (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE order_commands (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE event_types (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE allocation_kinds (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE delivery_kinds (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE delivery_schedules (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE provider_states (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE check_kinds (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE case_closings (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TEMP TABLE kept_chains AS SELECT * FROM chains;
DROP TABLE chains;
CREATE TABLE chains (
  chain TEXT PRIMARY KEY REFERENCES chain_ids (name),
  head_number INTEGER,
  head_hash TEXT,
  head_time INTEGER,
  final_number INTEGER,
  final_hash TEXT,
  final_time INTEGER,
  last_read_at INTEGER,
  stalled_since INTEGER,
  stalled_reason TEXT,
  held_since INTEGER,
  held_reason TEXT,
  unread_since INTEGER,
  unread_reason TEXT,
  ms_per_block INTEGER CHECK (ms_per_block IS NULL OR ms_per_block > 0),
  pace_measured_at INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO chains SELECT * FROM kept_chains;
DROP TABLE kept_chains;

CREATE TEMP TABLE kept_providers AS SELECT * FROM providers;
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
  state TEXT NOT NULL REFERENCES provider_states (name),
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
INSERT INTO providers SELECT * FROM kept_providers;
DROP TABLE kept_providers;

CREATE TEMP TABLE kept_watches AS SELECT * FROM watches;
DROP TABLE watches;
CREATE TABLE watches (
  id INTEGER PRIMARY KEY,
  chain TEXT NOT NULL REFERENCES chains (chain),
  wallet TEXT NOT NULL,
  token TEXT NOT NULL,
  coin TEXT REFERENCES coins (name),
  label TEXT NOT NULL,
  decimals INTEGER NOT NULL,
  offered INTEGER NOT NULL CHECK (offered IN (0, 1)),
  active INTEGER NOT NULL CHECK (active IN (0, 1)),
  added_at INTEGER NOT NULL,
  start_block INTEGER,
  start_time INTEGER,
  UNIQUE (chain, wallet, token)
) STRICT;
INSERT INTO watches SELECT * FROM kept_watches;
DROP TABLE kept_watches;

CREATE TEMP TABLE kept_checks AS SELECT * FROM checks;
DROP TABLE checks;
CREATE TABLE checks (
  chain TEXT NOT NULL REFERENCES chains (chain),
  kind TEXT NOT NULL REFERENCES check_kinds (name),
  provider TEXT,
  ran_at INTEGER,
  missed INTEGER NOT NULL DEFAULT 0,
  -- Transfers of ours that the index does not mention.
  doubts INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  error_at INTEGER,
  PRIMARY KEY (chain, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO checks SELECT * FROM kept_checks;
DROP TABLE kept_checks;

CREATE TEMP TABLE kept_balance_cases AS SELECT * FROM balance_cases;
DROP TABLE balance_cases;
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
  closed_because TEXT REFERENCES case_closings (name),
  CHECK (from_block < to_block),
  CHECK ((closed_at IS NULL) = (closed_because IS NULL))
) STRICT;
INSERT INTO balance_cases SELECT * FROM kept_balance_cases;
DROP TABLE kept_balance_cases;

CREATE TABLE new_orders (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  merchant_order_id TEXT NOT NULL,
  amount TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending','paid','expired','cancelled')),
  chain TEXT,
  coin TEXT REFERENCES coins (name),
  sender TEXT,
  webhook_url TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ended_at INTEGER,
  cause TEXT REFERENCES order_commands (name),
  lifetime_s INTEGER CHECK (lifetime_s > 0),
  metadata TEXT CHECK (metadata IS NULL OR json_type(metadata) = 'object'),
  success_url TEXT,
  cancel_url TEXT,
  CHECK ((status = 'pending') = (ended_at IS NULL)),
  CHECK ((status = 'pending') = (cause IS NULL))
) STRICT;
INSERT INTO new_orders SELECT * FROM orders;
DROP TABLE orders;
ALTER TABLE new_orders RENAME TO orders;

CREATE TABLE new_deposits (
  id INTEGER PRIMARY KEY,
  order_id TEXT NOT NULL REFERENCES orders (id),
  chain TEXT NOT NULL REFERENCES chains (chain),
  coin TEXT NOT NULL REFERENCES coins (name),
  wallet TEXT NOT NULL,
  sender TEXT,
  amount TEXT NOT NULL,
  units TEXT NOT NULL CHECK (units GLOB '[1-9]*' AND units NOT GLOB '*[^0-9]*'),
  opened_at INTEGER NOT NULL,
  opened_head INTEGER,
  closed_at INTEGER,
  close_reason TEXT REFERENCES order_commands (name),
  remainder TEXT CHECK (remainder GLOB '[1-9]*' AND remainder NOT GLOB '*[^0-9]*'),
  opened_ahead_ms INTEGER,
  head_after_opening INTEGER,
  opened_uncertainty_ms INTEGER,
  CHECK ((closed_at IS NULL) = (close_reason IS NULL))
) STRICT;
INSERT INTO new_deposits SELECT * FROM deposits;
DROP TABLE deposits;
ALTER TABLE new_deposits RENAME TO deposits;

CREATE TABLE new_transfers (
  id INTEGER PRIMARY KEY,
  chain TEXT NOT NULL REFERENCES chains (chain),
  tx_hash TEXT NOT NULL,
  position INTEGER NOT NULL CHECK (position >= 0),
  token TEXT NOT NULL,
  coin TEXT REFERENCES coins (name),
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
  held_for INTEGER REFERENCES deposits (id),
  UNIQUE (chain, tx_hash, position),
  CHECK (part = 0 OR deposit IS NOT NULL),
  CHECK (reverted_at IS NULL OR confirmed_at IS NOT NULL),
  CHECK ((confirmed_at IS NULL) = (status IN ('waiting_for_confirmation','failed_to_confirm')))
) STRICT;
INSERT INTO new_transfers SELECT * FROM transfers;
DROP TABLE transfers;
ALTER TABLE new_transfers RENAME TO transfers;

CREATE TABLE new_allocations (
  id INTEGER PRIMARY KEY,
  transfer INTEGER NOT NULL REFERENCES transfers (id),
  order_id TEXT NOT NULL REFERENCES orders (id),
  kind TEXT NOT NULL REFERENCES allocation_kinds (name),
  created_at INTEGER NOT NULL,
  reversed_at INTEGER
) STRICT;
INSERT INTO new_allocations SELECT * FROM allocations;
DROP TABLE allocations;
ALTER TABLE new_allocations RENAME TO allocations;

CREATE TABLE new_events (
  n INTEGER PRIMARY KEY,
  type TEXT NOT NULL REFERENCES event_types (name),
  order_id TEXT REFERENCES orders (id),
  transfer INTEGER REFERENCES transfers (id),
  body TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
INSERT INTO new_events SELECT * FROM events;
DROP TABLE events;
ALTER TABLE new_events RENAME TO events;

CREATE TABLE new_deliveries (
  id INTEGER PRIMARY KEY,
  event INTEGER UNIQUE REFERENCES events (n),
  kind TEXT NOT NULL REFERENCES delivery_kinds (name),
  order_id TEXT REFERENCES orders (id),
  transfer INTEGER REFERENCES transfers (id),
  url TEXT NOT NULL,
  origin TEXT NOT NULL,
  body TEXT NOT NULL,
  schedule TEXT NOT NULL REFERENCES delivery_schedules (name),
  state TEXT NOT NULL CHECK (state IN ('waiting','delivered','gave_up')),
  failures INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER NOT NULL,
  last_tried_at INTEGER,
  delivered_at INTEGER,
  CHECK ((state = 'delivered') = (delivered_at IS NOT NULL))
) STRICT;
INSERT INTO new_deliveries SELECT * FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;

CREATE INDEX orders_merchant ON orders (merchant_order_id, seq);
CREATE INDEX orders_status ON orders (status, seq);
CREATE INDEX orders_expiry ON orders (expires_at, seq) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX deposits_open ON deposits (order_id, chain, coin) WHERE closed_at IS NULL;
CREATE INDEX deposits_order ON deposits (order_id);
CREATE INDEX deposits_newest ON deposits (id, coin) WHERE closed_at IS NULL;
CREATE INDEX deposits_open_chain ON deposits (chain, id) WHERE closed_at IS NULL;
CREATE INDEX deposits_head ON deposits (chain, opened_head) WHERE opened_head IS NOT NULL AND closed_at IS NULL;
CREATE INDEX deliveries_due ON deliveries (origin, next_at) WHERE state = 'waiting';
CREATE INDEX deliveries_waiting_order ON deliveries (order_id, id) WHERE state = 'waiting';
CREATE INDEX deliveries_order ON deliveries (order_id, id);
CREATE UNIQUE INDEX transfers_one_per_deposit ON transfers (deposit) WHERE deposit IS NOT NULL AND part = 0;
CREATE INDEX transfers_deposit ON transfers (deposit) WHERE deposit IS NOT NULL;
CREATE INDEX transfers_sender ON transfers (chain, sender, deposit) WHERE deposit IS NOT NULL;
CREATE INDEX transfers_part ON transfers (chain, sender, deposit) WHERE part = 1;
CREATE INDEX transfers_payer ON transfers (chain, wallet, sender) WHERE deposit IS NOT NULL;
CREATE INDEX transfers_inbox ON transfers (id) WHERE dismissed_at IS NULL AND (reason IS NOT NULL OR reverted_at IS NOT NULL);
CREATE INDEX transfers_block ON transfers (chain, block_number);
CREATE INDEX transfers_amount ON transfers (chain, coin, wallet, units);
CREATE UNIQUE INDEX allocations_live ON allocations (transfer) WHERE reversed_at IS NULL;
CREATE INDEX allocations_order ON allocations (order_id);
CREATE INDEX deposits_amount ON deposits (chain, coin, wallet, units, id);
CREATE INDEX balance_cases_open ON balance_cases (watch) WHERE closed_at IS NULL;
CREATE INDEX transfers_inbox_clean ON transfers (id)
WHERE dismissed_at IS NULL AND (reason IS NOT NULL OR reverted_at IS NOT NULL)
  AND reason IS NOT 'dust' AND (reason IS NOT 'lookalike' OR substr(amount, 1, 2) <> '0.');
CREATE INDEX deposits_remainder ON deposits (chain, coin, wallet, remainder) WHERE remainder IS NOT NULL AND closed_at IS NULL;
CREATE INDEX transfers_same_amount ON transfers (chain, coin, wallet, units, block_number, log_index)
  WHERE status = 'waiting_for_confirmation' AND deposit IS NULL;
CREATE INDEX transfers_held ON transfers (likely_order, block_number, log_index)
  WHERE status = 'waiting_for_confirmation' AND deposit IS NULL AND likely_order IS NOT NULL;
CREATE INDEX transfers_waiting ON transfers (chain, finality, deposit IS NULL, block_number)
  WHERE status = 'waiting_for_confirmation';
CREATE INDEX events_order ON events (order_id, n) WHERE order_id IS NOT NULL;
CREATE INDEX events_generations ON events (n) WHERE type = 'log_restored';
CREATE INDEX transfers_held_for ON transfers (held_for) WHERE held_for IS NOT NULL;
CREATE INDEX transfers_unallocated ON transfers (chain, coin, wallet, sender, block_number, log_index)
WHERE deposit IS NULL AND status IN ('waiting_for_confirmation', 'waiting_for_match', 'no_matched_deposit');
CREATE INDEX transfers_wallet ON transfers (wallet, id, status, chain, coin);
CREATE INDEX transfers_assigned ON transfers (chain, sender) WHERE status = 'matched' AND deposit IS NULL;
CREATE INDEX deposits_ended_remainder ON deposits (chain, coin, wallet, remainder) WHERE remainder IS NOT NULL AND closed_at IS NOT NULL;

CREATE TRIGGER orders_begin_pending BEFORE INSERT ON orders
WHEN NEW.status <> 'pending'
BEGIN
  SELECT RAISE(ABORT, 'an order begins pending');
END;
CREATE TRIGGER orders_legal_transition BEFORE UPDATE OF status ON orders
WHEN NOT (
  (OLD.status = 'pending' AND NEW.status IN ('paid','expired','cancelled'))
  OR (OLD.status IN ('expired','cancelled') AND NEW.status = 'paid')
)
BEGIN
  SELECT RAISE(ABORT, 'not a legal transition of an order');
END;
CREATE TRIGGER orders_keep_terms BEFORE UPDATE OF
  id, merchant_order_id, amount, chain, coin, sender, created_at, lifetime_s, metadata, success_url, cancel_url ON orders
BEGIN
  SELECT RAISE(ABORT, 'the terms of an order do not change');
END;
CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are never changed');
END;
CREATE TRIGGER events_never_go BEFORE DELETE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are never deleted');
END;
CREATE TRIGGER events_without_gaps AFTER INSERT ON events
WHEN NEW.n > 1 AND NEW.type <> 'log_restored' AND NOT EXISTS (SELECT 1 FROM events e WHERE e.n = NEW.n - 1)
BEGIN
  SELECT RAISE(ABORT, 'the numbers of events have no gaps within a generation');
END;
