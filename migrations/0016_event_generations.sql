-- A restored event log goes on in a new generation, which begins with a `log_restored` event. SQLite cannot change a
-- CHECK in place: the log is written anew, row for row, under the numbers that others refer to.

PRAGMA defer_foreign_keys = ON;

CREATE TEMP TABLE kept_events AS SELECT * FROM events;
DROP TABLE events;

-- No AUTOINCREMENT and no conflict clause: both can burn numbers.
CREATE TABLE events (
  n INTEGER PRIMARY KEY,
  type TEXT NOT NULL CHECK (type IN
    ('order_created','deposit_opened','transfer_seen','transfer_dropped','transfer_confirmed',
     'order_status_changed','unknown_transfer','order_part_paid','payment_reverted','payment_restored',
     'transfer_assigned','transfer_dismissed','log_restored')),
  order_id TEXT REFERENCES orders (id),
  transfer INTEGER REFERENCES transfers (id),
  body TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
INSERT INTO events (n, type, order_id, transfer, body, created_at)
  SELECT n, type, order_id, transfer, body, created_at FROM kept_events ORDER BY n;
DROP TABLE kept_events;
CREATE INDEX events_order ON events (order_id, n) WHERE order_id IS NOT NULL;
CREATE INDEX events_generations ON events (n) WHERE type = 'log_restored';

CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are never changed');
END;
CREATE TRIGGER events_never_go BEFORE DELETE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are never deleted');
END;
CREATE TRIGGER events_without_gaps AFTER INSERT ON events
WHEN NEW.n > 1 AND NEW.type <> 'log_restored' AND NOT EXISTS (SELECT 1 FROM events e WHERE e.n = NEW.n - 1)
BEGIN
  SELECT RAISE(ABORT, 'the numbers of events have no gaps within a generation');
END;

-- Facts about the database file itself. `last_event_kept_at`: since when (ms) the last event number is kept beside it.
CREATE TABLE meta (
  name TEXT PRIMARY KEY CHECK (name IN ('last_event_kept_at')),
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
