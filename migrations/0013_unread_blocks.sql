-- Why single blocks of a chain cannot be read completely, and since when (wall clock, ms).
ALTER TABLE chains ADD COLUMN unread_since INTEGER;
ALTER TABLE chains ADD COLUMN unread_reason TEXT;
