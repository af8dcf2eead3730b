-- How much of a hosted order its merchant signed, and the payment that a proof came for which it did not settle.

ALTER TABLE oc_sessions ADD COLUMN form TEXT NOT NULL DEFAULT 'recursive'
  CHECK (form IN ('recursive','top_level','shallow'));
-- The OCID of ours that the checkout was opened at, and in whose name alone it is proved; NULL: opened before it was kept.
ALTER TABLE oc_sessions ADD COLUMN gateway INTEGER;
ALTER TABLE oc_proofs ADD COLUMN oc_payment TEXT REFERENCES oc_payments (txid);

-- Proofs, newest first, all and by what became of them.
CREATE INDEX oc_proofs_received ON oc_proofs (received_at, issuer, txid);
CREATE INDEX oc_proofs_outcome ON oc_proofs (outcome, received_at, issuer, txid);
