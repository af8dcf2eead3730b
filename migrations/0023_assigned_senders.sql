-- Money that an operator gave to an order that had ended: it has no deposit, and is its sender's payment all the same.
CREATE INDEX transfers_assigned ON transfers (chain, sender) WHERE status = 'matched' AND deposit IS NULL;
