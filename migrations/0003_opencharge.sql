-- Orders of the Opencharge network and what came for them. Times of the network are seconds, as they were signed.

-- Nonces a caller has used, for as long as its request could still be sent again.
CREATE TABLE oc_nonces (
  ocid INTEGER NOT NULL,
  nonce TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (ocid, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX oc_nonces_expiry ON oc_nonces (expires_at);

-- Orders we signed as a merchant. `object` is the JSON that was signed and is sent, to the byte.
CREATE TABLE oc_orders (
  id TEXT PRIMARY KEY,
  order_id TEXT NOT NULL UNIQUE REFERENCES orders (id),
  caller INTEGER NOT NULL,
  request_hash TEXT NOT NULL,
  reference TEXT,
  amount TEXT NOT NULL,
  currency TEXT NOT NULL,
  accepts TEXT NOT NULL CHECK (json_type(accepts) = 'array'),
  created_s INTEGER NOT NULL,
  expires_s INTEGER NOT NULL,
  object TEXT NOT NULL CHECK (json_type(object) = 'object'),
  signature TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oc_orders_reference ON oc_orders (reference) WHERE reference IS NOT NULL;

CREATE TRIGGER oc_orders_keep BEFORE UPDATE ON oc_orders
BEGIN
  SELECT RAISE(ABORT, 'a signed order does not change');
END;

-- Proofs that verified, each once per issuer and transaction; `public_key` is the key that held when it was accepted.
CREATE TABLE oc_proofs (
  issuer INTEGER NOT NULL,
  txid TEXT NOT NULL,
  proof_hash TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('paid','duplicate','unmatched')),
  oc_order TEXT REFERENCES oc_orders (id),
  sender INTEGER NOT NULL,
  form TEXT NOT NULL CHECK (form IN ('recursive','top_level','shallow')),
  public_key TEXT NOT NULL,
  object TEXT NOT NULL CHECK (json_type(object) = 'object'),
  signature TEXT NOT NULL,
  proved_s INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  PRIMARY KEY (issuer, txid),
  CHECK ((oc_order IS NULL) = (outcome = 'unmatched'))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX oc_proofs_paid ON oc_proofs (oc_order) WHERE outcome = 'paid';

CREATE TRIGGER oc_proofs_keep BEFORE UPDATE ON oc_proofs
BEGIN
  SELECT RAISE(ABORT, 'a stored proof does not change');
END;
