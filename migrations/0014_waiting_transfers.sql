-- Waiting transfers by what they wait for: confirmation of a payment, or a deposit that another transfer holds.
CREATE INDEX transfers_bound ON transfers (chain, finality, block_number)
  WHERE status = 'waiting_for_confirmation' AND deposit IS NOT NULL;
CREATE INDEX transfers_unbound ON transfers (chain, finality, block_number)
  WHERE status = 'waiting_for_confirmation' AND deposit IS NULL;
CREATE INDEX transfers_same_amount ON transfers (chain, coin, wallet, units, block_number, log_index)
  WHERE status = 'waiting_for_confirmation' AND deposit IS NULL;
CREATE INDEX transfers_held ON transfers (likely_order, block_number, log_index)
  WHERE status = 'waiting_for_confirmation' AND deposit IS NULL AND likely_order IS NOT NULL;
