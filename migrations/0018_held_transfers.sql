-- The deposit that a transfer pays as soon as no older order can be meant by it any more. Until then it waits.
ALTER TABLE transfers ADD COLUMN held_for INTEGER REFERENCES deposits (id);
CREATE INDEX transfers_held_for ON transfers (held_for) WHERE held_for IS NOT NULL;
