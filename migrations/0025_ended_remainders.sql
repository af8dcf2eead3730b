-- What was left of an order that ended is looked for while its amounts are kept. Closed deposits with parts are few.
CREATE INDEX deposits_ended_remainder ON deposits (chain, coin, wallet, remainder) WHERE remainder IS NOT NULL AND closed_at IS NOT NULL;
