-- Times named *_at are milliseconds since 1970; block times are the chain's own seconds.
-- `units` are base units as canonical decimal text: 18-decimal sums do not fit SQLite's integers.
-- Addresses and hashes are stored in their one canonical spelling and compared byte for byte.

CREATE TABLE chains (
  chain TEXT PRIMARY KEY CHECK (chain IN ('eth','polygon','base','arb','op','linea','avaxc','tron')),
  head_number INTEGER,
  head_hash TEXT,
  head_time INTEGER,
  final_number INTEGER,
  final_hash TEXT,
  final_time INTEGER,
  last_read_at INTEGER,
  stalled_since INTEGER,
  stalled_reason TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE providers (
  chain TEXT NOT NULL REFERENCES chains (chain),
  provider TEXT NOT NULL,
  calls INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  refused_answers INTEGER NOT NULL,
  learned_range INTEGER,
  last_error TEXT,
  last_error_at INTEGER,
  PRIMARY KEY (chain, provider)
) STRICT, WITHOUT ROWID;

CREATE TABLE zero_value_logs (
  chain TEXT NOT NULL REFERENCES chains (chain),
  day INTEGER NOT NULL,
  logs INTEGER NOT NULL,
  PRIMARY KEY (chain, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  merchant_order_id TEXT NOT NULL,
  amount TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending','paid','expired','cancelled')),
  chain TEXT,
  coin TEXT CHECK (coin IN ('USDT','USDC','DAI')),
  sender TEXT,
  webhook_url TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ended_at INTEGER,
  cause TEXT CHECK (cause IN ('pay','mark_paid','cancel','expire')),
  CHECK ((status = 'pending') = (ended_at IS NULL)),
  CHECK ((status = 'pending') = (cause IS NULL))
) STRICT;
CREATE INDEX orders_merchant ON orders (merchant_order_id, seq);
CREATE INDEX orders_status ON orders (status, seq);
CREATE INDEX orders_expiry ON orders (expires_at, seq) WHERE ended_at IS NULL;

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

CREATE TRIGGER orders_keep_terms BEFORE UPDATE OF id, merchant_order_id, amount, chain, coin, sender, created_at ON orders
BEGIN
  SELECT RAISE(ABORT, 'the terms of an order do not change');
END;

CREATE TABLE creations (
  key TEXT PRIMARY KEY,
  body_hash TEXT NOT NULL,
  order_id TEXT NOT NULL REFERENCES orders (id),
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX creations_expiry ON creations (expires_at);

CREATE TABLE watches (
  id INTEGER PRIMARY KEY,
  chain TEXT NOT NULL REFERENCES chains (chain),
  wallet TEXT NOT NULL,
  token TEXT NOT NULL,
  coin TEXT CHECK (coin IN ('USDT','USDC','DAI')),
  label TEXT NOT NULL,
  decimals INTEGER NOT NULL,
  offered INTEGER NOT NULL CHECK (offered IN (0, 1)),
  active INTEGER NOT NULL CHECK (active IN (0, 1)),
  added_at INTEGER NOT NULL,
  start_block INTEGER,
  UNIQUE (chain, wallet, token)
) STRICT;

-- Block intervals that were read completely, per pass, with the provider that answered.
CREATE TABLE coverage (
  id INTEGER PRIMARY KEY,
  watch INTEGER NOT NULL REFERENCES watches (id),
  pass TEXT NOT NULL CHECK (pass IN ('head','final')),
  from_block INTEGER NOT NULL,
  to_block INTEGER NOT NULL CHECK (to_block >= from_block),
  -- Unknown where a later answer of another provider took over the upper part.
  to_hash TEXT,
  to_time INTEGER,
  provider TEXT NOT NULL,
  UNIQUE (watch, pass, from_block)
) STRICT;

CREATE TRIGGER coverage_no_overlap_insert AFTER INSERT ON coverage
WHEN EXISTS (
  SELECT 1 FROM coverage c
  WHERE c.watch = NEW.watch AND c.pass = NEW.pass AND c.id <> NEW.id
    AND c.from_block <= NEW.to_block AND c.to_block >= NEW.from_block
)
BEGIN
  SELECT RAISE(ABORT, 'coverage overlaps');
END;

CREATE TRIGGER coverage_no_overlap_update AFTER UPDATE OF watch, pass, from_block, to_block ON coverage
WHEN EXISTS (
  SELECT 1 FROM coverage c
  WHERE c.watch = NEW.watch AND c.pass = NEW.pass AND c.id <> NEW.id
    AND c.from_block <= NEW.to_block AND c.to_block >= NEW.from_block
)
BEGIN
  SELECT RAISE(ABORT, 'coverage overlaps');
END;

-- Headers seen at the ends of polls: where the chain is compared with what it was.
CREATE TABLE blocks (
  chain TEXT NOT NULL REFERENCES chains (chain),
  number INTEGER NOT NULL,
  hash TEXT NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY (chain, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE deposits (
  id INTEGER PRIMARY KEY,
  order_id TEXT NOT NULL REFERENCES orders (id),
  chain TEXT NOT NULL REFERENCES chains (chain),
  coin TEXT NOT NULL CHECK (coin IN ('USDT','USDC','DAI')),
  wallet TEXT NOT NULL,
  sender TEXT,
  amount TEXT NOT NULL,
  units TEXT NOT NULL CHECK (units GLOB '[1-9]*' AND units NOT GLOB '*[^0-9]*'),
  opened_at INTEGER NOT NULL,
  opened_head INTEGER,
  closed_at INTEGER,
  close_reason TEXT CHECK (close_reason IN ('pay','mark_paid','cancel','expire')),
  CHECK ((closed_at IS NULL) = (close_reason IS NULL))
) STRICT;
CREATE UNIQUE INDEX deposits_open ON deposits (order_id, chain, coin) WHERE closed_at IS NULL;
CREATE INDEX deposits_order ON deposits (order_id);
CREATE INDEX deposits_newest ON deposits (id, coin) WHERE closed_at IS NULL;
CREATE INDEX deposits_open_chain ON deposits (chain, id) WHERE closed_at IS NULL;
CREATE INDEX deposits_head ON deposits (chain, opened_head) WHERE opened_head IS NOT NULL AND closed_at IS NULL;

-- One row per amount that may not be promised to anybody else. Rows outlive their deposit's close: quarantine.
CREATE TABLE slots (
  id INTEGER PRIMARY KEY,
  chain TEXT NOT NULL,
  coin TEXT NOT NULL,
  wallet TEXT NOT NULL,
  units TEXT NOT NULL CHECK (units GLOB '[1-9]*' AND units NOT GLOB '*[^0-9]*'),
  sender TEXT NOT NULL,
  deposit INTEGER NOT NULL REFERENCES deposits (id),
  closed_at INTEGER,
  UNIQUE (chain, coin, wallet, units, sender)
) STRICT;
CREATE INDEX slots_deposit ON slots (deposit);
CREATE INDEX slots_quarantine ON slots (closed_at) WHERE closed_at IS NOT NULL;

-- A sender-bound and an open promise of one amount never coexist: the bound payer may pay from an exchange.
CREATE TRIGGER slots_bound_beside_open BEFORE INSERT ON slots
WHEN EXISTS (
  SELECT 1 FROM slots s
  WHERE s.chain = NEW.chain AND s.coin = NEW.coin AND s.wallet = NEW.wallet AND s.units = NEW.units
    AND (s.sender = '' OR NEW.sender = '')
)
BEGIN
  SELECT RAISE(ABORT, 'the amount is promised already');
END;

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
  -- The deposit this transfer is the one payment of, from sight on.
  deposit INTEGER REFERENCES deposits (id),
  -- Why it waits for a person, and whose it probably is.
  reason TEXT,
  likely_order TEXT REFERENCES orders (id),
  seen_at INTEGER NOT NULL,
  confirmed_at INTEGER,
  UNIQUE (chain, tx_hash, position),
  CHECK (status <> 'matched' OR deposit IS NOT NULL),
  CHECK ((confirmed_at IS NULL) = (status IN ('waiting_for_confirmation','failed_to_confirm')))
) STRICT;
CREATE UNIQUE INDEX transfers_one_per_deposit ON transfers (deposit) WHERE deposit IS NOT NULL;
CREATE INDEX transfers_wallet ON transfers (wallet, id, status, chain, label);
CREATE INDEX transfers_waiting ON transfers (chain, status, block_number) WHERE status = 'waiting_for_confirmation';
CREATE INDEX transfers_block ON transfers (chain, block_number);
CREATE INDEX transfers_amount ON transfers (chain, coin, wallet, units);

-- A transfer pays at most one order.
CREATE TABLE allocations (
  id INTEGER PRIMARY KEY,
  transfer INTEGER NOT NULL REFERENCES transfers (id),
  order_id TEXT NOT NULL REFERENCES orders (id),
  kind TEXT NOT NULL CHECK (kind IN ('match','assign')),
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
     'order_status_changed','unknown_transfer')),
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

CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY,
  event INTEGER UNIQUE REFERENCES events (n),
  kind TEXT NOT NULL CHECK (kind IN ('order','transfer','proof')),
  order_id TEXT REFERENCES orders (id),
  transfer INTEGER REFERENCES transfers (id),
  url TEXT NOT NULL,
  origin TEXT NOT NULL,
  body TEXT NOT NULL,
  schedule TEXT NOT NULL CHECK (schedule IN ('webhook','proof')),
  state TEXT NOT NULL CHECK (state IN ('waiting','delivered','gave_up')),
  failures INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER NOT NULL,
  last_tried_at INTEGER,
  delivered_at INTEGER,
  CHECK ((state = 'delivered') = (delivered_at IS NOT NULL))
) STRICT;
CREATE INDEX deliveries_due ON deliveries (origin, next_at) WHERE state = 'waiting';
CREATE INDEX deliveries_waiting_order ON deliveries (order_id, id) WHERE state = 'waiting';
CREATE INDEX deliveries_order ON deliveries (order_id, id);

CREATE TABLE attempts (
  id INTEGER PRIMARY KEY,
  delivery INTEGER NOT NULL REFERENCES deliveries (id),
  started_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  status INTEGER,
  error TEXT
) STRICT;
CREATE INDEX attempts_delivery ON attempts (delivery);

CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject, id);
