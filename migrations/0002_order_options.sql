-- What a merchant may say of an order beyond its price. NULL where the creation did not.
-- `lifetime_s` is what was asked for; `expires_at` stays the time that counts. `metadata` is a JSON object as text.

ALTER TABLE orders ADD COLUMN lifetime_s INTEGER CHECK (lifetime_s > 0);
ALTER TABLE orders ADD COLUMN metadata TEXT CHECK (metadata IS NULL OR json_type(metadata) = 'object');
ALTER TABLE orders ADD COLUMN success_url TEXT;
ALTER TABLE orders ADD COLUMN cancel_url TEXT;

DROP TRIGGER orders_keep_terms;
CREATE TRIGGER orders_keep_terms BEFORE UPDATE OF
  id, merchant_order_id, amount, chain, coin, sender, created_at, lifetime_s, metadata, success_url, cancel_url ON orders
BEGIN
  SELECT RAISE(ABORT, 'the terms of an order do not change');
END;
