-- What a sender has sent to a wallet in a coin that pays nothing, newest first: several of them may pay one order together.
CREATE INDEX transfers_unallocated ON transfers (chain, coin, wallet, sender, block_number, log_index)
WHERE deposit IS NULL AND status IN ('waiting_for_confirmation', 'waiting_for_match', 'no_matched_deposit');
