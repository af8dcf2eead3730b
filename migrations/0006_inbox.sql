-- What operators and payers say about transfers, and the indexes by which the inbox finds its candidates.

-- A payer of an order said that this transaction is the payment: a hint for a person, never a payment by itself.
CREATE TABLE claims (
  id INTEGER PRIMARY KEY,
  transfer INTEGER NOT NULL REFERENCES transfers (id),
  order_id TEXT NOT NULL REFERENCES orders (id),
  claimed_at INTEGER NOT NULL,
  UNIQUE (transfer, order_id)
) STRICT;

-- Who was ever asked for exactly this amount, long after its slot was released.
CREATE INDEX deposits_amount ON deposits (chain, coin, wallet, units, id);

-- What people should look at, without the dust and the look-alikes that strangers send in masses.
CREATE INDEX transfers_inbox_clean ON transfers (id)
WHERE dismissed_at IS NULL AND (reason IS NOT NULL OR reverted_at IS NOT NULL) AND reason IS NOT 'dust' AND reason IS NOT 'lookalike';
