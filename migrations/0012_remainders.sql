-- What is left to pay of a deposit after parts, in base units of its coin: known also where it cannot be reserved, because
-- another payment may be taken for it. Null without parts, and where the coin cannot hold it.
ALTER TABLE deposits ADD COLUMN remainder TEXT CHECK (remainder GLOB '[1-9]*' AND remainder NOT GLOB '*[^0-9]*');
UPDATE deposits SET remainder = (
  SELECT units FROM slots WHERE slots.deposit = deposits.id AND slots.rest = 1 ORDER BY slots.id DESC LIMIT 1
) WHERE closed_at IS NULL;
CREATE INDEX deposits_remainder ON deposits (chain, coin, wallet, remainder) WHERE remainder IS NOT NULL AND closed_at IS NULL;
