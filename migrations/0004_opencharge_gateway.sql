-- What we do for other participants of the network as a gateway: hosted checkouts and what they were paid with.

CREATE TABLE oc_sessions (
  id TEXT PRIMARY KEY,
  -- The order of our own behind it: amount, time and status are there.
  order_id TEXT NOT NULL UNIQUE REFERENCES orders (id),
  -- What the proof of its payment will be called, from the start and for ever.
  txid TEXT NOT NULL UNIQUE,
  caller INTEGER NOT NULL,
  merchant INTEGER NOT NULL,
  merchant_name TEXT NOT NULL,
  -- The merchant's own name for the order; the signed order in canonical spelling, and its signature as received.
  merchant_order TEXT NOT NULL,
  signed_order TEXT NOT NULL,
  signature TEXT NOT NULL,
  currency TEXT NOT NULL,
  -- A JSON array of the addresses the proof goes to.
  notify TEXT NOT NULL CHECK (json_type(notify) = 'array'),
  created_at INTEGER NOT NULL,
  -- Set in the transaction that pays the order: from here on a proof is owed.
  paid_at INTEGER,
  -- JSON: exactly the bytes that are sent.
  proof TEXT,
  CHECK (proof IS NULL OR paid_at IS NOT NULL)
) STRICT;
CREATE INDEX oc_sessions_merchant ON oc_sessions (merchant, merchant_order, created_at);
CREATE INDEX oc_sessions_owed ON oc_sessions (paid_at) WHERE paid_at IS NOT NULL AND proof IS NULL;

CREATE TRIGGER oc_sessions_keep_proof BEFORE UPDATE OF proof ON oc_sessions
WHEN OLD.proof IS NOT NULL
BEGIN
  SELECT RAISE(ABORT, 'a proof is made once');
END;

-- Payments to our merchant that wait for the proof of a settlement provider, or were settled by one.
CREATE TABLE oc_payments (
  txid TEXT PRIMARY KEY,
  caller INTEGER NOT NULL,
  merchant INTEGER NOT NULL,
  -- What the merchant knows the payment by: its order, else the caller's own words.
  reference TEXT,
  amount TEXT NOT NULL,
  currency TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  -- The proof that settled it, as received, and the one we issued for it, as sent.
  settled_issuer INTEGER,
  settled_txid TEXT,
  settled_by TEXT CHECK (settled_by IS NULL OR json_type(settled_by) = 'object'),
  proof TEXT,
  UNIQUE (settled_issuer, settled_txid),
  CHECK ((proof IS NULL) = (settled_issuer IS NULL)),
  CHECK ((proof IS NULL) = (settled_txid IS NULL)),
  CHECK ((proof IS NULL) = (settled_by IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TRIGGER oc_payments_settle_once BEFORE UPDATE ON oc_payments
WHEN OLD.proof IS NOT NULL
BEGIN
  SELECT RAISE(ABORT, 'a payment is settled once');
END;
