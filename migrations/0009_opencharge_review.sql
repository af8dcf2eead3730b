-- How much of a hosted order its merchant's signature covers, and the payment that a proof came for which it did not settle.

ALTER TABLE oc_sessions ADD COLUMN form TEXT NOT NULL DEFAULT 'recursive'
  CHECK (form IN ('recursive','top_level','shallow'));
ALTER TABLE oc_proofs ADD COLUMN oc_payment TEXT REFERENCES oc_payments (txid);
