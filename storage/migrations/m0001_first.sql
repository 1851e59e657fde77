-- One table per kind of object. `seq` is the order of a list, `body` the object itself as JSON; the other columns repeat
-- what lists and locks must find without reading a body. An index on (column) ends in seq by itself, so each list below
-- is read in order, without sorting. Statuses that a partial index names are checked against engine.states by a test.

CREATE TABLE assistants (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE TABLE threads (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE TABLE messages (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  thread_id TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
  run_id TEXT,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE INDEX messages_of_thread ON messages (thread_id);

CREATE INDEX messages_of_run ON messages (run_id, thread_id);

CREATE TABLE runs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  thread_id TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
  status TEXT NOT NULL,
  expires_at INTEGER,
  lease_owner TEXT, -- who works on it
  lease_until REAL, -- Unix seconds; after that anybody may take it over
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE INDEX runs_of_thread ON runs (thread_id);

CREATE INDEX runs_by_status ON runs (status);

-- The lock of a thread: at most one run of it is not over.
CREATE UNIQUE INDEX runs_active ON runs (thread_id)
  WHERE status IN ('queued', 'in_progress', 'requires_action', 'cancelling');

CREATE INDEX runs_expiring ON runs (expires_at)
  WHERE status IN ('queued', 'in_progress', 'requires_action', 'cancelling');

-- The queue: what waits has no lease or a lapsed one.
CREATE INDEX runs_wanting_work ON runs (lease_until)
  WHERE status IN ('queued', 'in_progress', 'cancelling');

CREATE INDEX runs_by_owner ON runs (lease_owner) WHERE lease_owner IS NOT NULL;

-- A run that waits for its client or is over is nobody's work. So a run that comes back to the queue can be
-- claimed at once, and one that was claimed and not yet started cannot be claimed twice.
CREATE TRIGGER runs_lay_down AFTER UPDATE OF status ON runs
  WHEN new.lease_owner IS NOT NULL AND new.status NOT IN ('queued', 'in_progress', 'cancelling')
BEGIN
  UPDATE runs SET lease_owner = NULL, lease_until = NULL WHERE seq = new.seq;
END;

CREATE TABLE run_steps (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  thread_id TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE INDEX run_steps_of_run ON run_steps (run_id);

CREATE INDEX run_steps_by_status ON run_steps (run_id, status);

CREATE INDEX run_steps_of_thread ON run_steps (thread_id);

-- The journal.
CREATE TABLE run_events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  seq INTEGER NOT NULL, -- from 1 within the run, without gaps
  name TEXT NOT NULL,
  data TEXT NOT NULL,
  UNIQUE (run_id, seq)
) STRICT;

-- What the model saw and said. An entry that stands for an API message goes with it.
CREATE TABLE transcript (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  thread_id TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
  run_id TEXT,
  step_id TEXT,
  message_id TEXT,
  body TEXT,
  evidence TEXT -- passages and files that a tool's output brought
) STRICT;

CREATE INDEX transcript_of_thread ON transcript (thread_id);

CREATE INDEX transcript_of_message ON transcript (message_id) WHERE message_id IS NOT NULL;

CREATE TRIGGER messages_leave_transcript AFTER DELETE ON messages BEGIN
  DELETE FROM transcript WHERE message_id = old.id;
END;

CREATE TABLE files (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  purpose TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE INDEX files_by_purpose ON files (purpose);

CREATE TABLE uploads (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE INDEX uploads_by_status ON uploads (status);

CREATE TABLE vector_stores (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE INDEX vector_stores_by_status ON vector_stores (status);

CREATE TABLE vector_store_files (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE, -- "<vector_store_id>/<file_id>"
  vector_store_id TEXT NOT NULL REFERENCES vector_stores (id) ON DELETE CASCADE,
  file_id TEXT NOT NULL,
  status TEXT NOT NULL,
  usage_bytes INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE INDEX vector_store_files_of_store ON vector_store_files (vector_store_id);

CREATE INDEX vector_store_files_by_status ON vector_store_files (vector_store_id, status);

CREATE INDEX vector_store_files_unfinished ON vector_store_files (status);

CREATE INDEX vector_store_files_of_file ON vector_store_files (file_id);

CREATE TABLE file_batches (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  vector_store_id TEXT NOT NULL REFERENCES vector_stores (id) ON DELETE CASCADE,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE INDEX file_batches_of_store ON file_batches (vector_store_id);

CREATE INDEX file_batches_by_status ON file_batches (status);

CREATE TABLE batch_files (
  batch_id TEXT NOT NULL,
  store_file TEXT NOT NULL, -- vector_store_files.id
  PRIMARY KEY (batch_id, store_file)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER file_batches_leave_members AFTER DELETE ON file_batches BEGIN
  DELETE FROM batch_files WHERE batch_id = old.id;
END;

-- The searchable text. No reference to vector_store_files: indexing holds no status, so it may run ahead of them.
CREATE TABLE chunks (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  vector_store_id TEXT NOT NULL,
  file_id TEXT NOT NULL,
  position INTEGER NOT NULL,
  heading TEXT NOT NULL,
  text TEXT NOT NULL,
  start INTEGER NOT NULL,
  "end" INTEGER NOT NULL,
  page INTEGER,
  vector BLOB
) STRICT;

CREATE INDEX chunks_of_file ON chunks (vector_store_id, file_id, position);

-- Keeps words only; the text stays in chunks. The triggers keep both in step whatever deletes a chunk.
CREATE VIRTUAL TABLE chunk_words USING fts5 (
  heading, text, content = 'chunks', content_rowid = 'seq', tokenize = 'porter unicode61'
);

CREATE TRIGGER chunks_add_words AFTER INSERT ON chunks BEGIN
  INSERT INTO chunk_words (rowid, heading, text) VALUES (new.seq, new.heading, new.text);
END;

CREATE TRIGGER chunks_drop_words AFTER DELETE ON chunks BEGIN
  INSERT INTO chunk_words (chunk_words, rowid, heading, text)
    VALUES ('delete', old.seq, old.heading, old.text);
END;

CREATE TRIGGER chunks_change_words AFTER UPDATE OF heading, text ON chunks BEGIN
  INSERT INTO chunk_words (chunk_words, rowid, heading, text)
    VALUES ('delete', old.seq, old.heading, old.text);
  INSERT INTO chunk_words (rowid, heading, text) VALUES (new.seq, new.heading, new.text);
END;
