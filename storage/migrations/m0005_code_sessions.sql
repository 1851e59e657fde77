-- The ledger of the code interpreter's sessions, a row for each that is billed. No reference to thread or run: what was
-- used stays used when they are deleted.

CREATE TABLE code_sessions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  project TEXT NOT NULL,
  thread_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  started_at INTEGER NOT NULL
) STRICT;

CREATE INDEX code_sessions_of_thread ON code_sessions (thread_id, started_at);

CREATE INDEX code_sessions_by_time ON code_sessions (started_at);

CREATE INDEX code_sessions_of_project ON code_sessions (project, started_at);
