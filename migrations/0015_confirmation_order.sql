-- Waiting transfers by policy, those that are bound to a deposit first.
DROP INDEX transfers_waiting;
DROP INDEX transfers_bound;
DROP INDEX transfers_unbound;
CREATE INDEX transfers_waiting ON transfers (chain, finality, deposit IS NULL, block_number)
  WHERE status = 'waiting_for_confirmation';
