-- Lists of transfers ask whether a token is accepted as a coin, and as which one.
DROP INDEX transfers_wallet;
CREATE INDEX transfers_wallet ON transfers (wallet, id, status, chain, coin);
