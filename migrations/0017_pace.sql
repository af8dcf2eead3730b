-- The measured pace of a chain: milliseconds from one block to the next over the last 1,000 blocks, and when (ms).
ALTER TABLE chains ADD COLUMN ms_per_block INTEGER CHECK (ms_per_block IS NULL OR ms_per_block > 0);
ALTER TABLE chains ADD COLUMN pace_measured_at INTEGER;
