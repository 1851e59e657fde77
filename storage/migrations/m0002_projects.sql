-- Projects: which project an object belongs to stands on root objects only; their children are found through them. What
-- was made before belongs to 'default'. An index on (project) ends in seq by itself, so a project's lists are read in
-- order, without sorting.

ALTER TABLE assistants ADD COLUMN project TEXT NOT NULL DEFAULT 'default';

ALTER TABLE threads ADD COLUMN project TEXT NOT NULL DEFAULT 'default';

ALTER TABLE files ADD COLUMN project TEXT NOT NULL DEFAULT 'default';

ALTER TABLE uploads ADD COLUMN project TEXT NOT NULL DEFAULT 'default';

ALTER TABLE vector_stores ADD COLUMN project TEXT NOT NULL DEFAULT 'default';

CREATE INDEX assistants_of_project ON assistants (project);

CREATE INDEX threads_of_project ON threads (project);

CREATE INDEX files_of_project ON files (project);

CREATE INDEX files_of_project_by_purpose ON files (project, purpose);

CREATE INDEX uploads_of_project ON uploads (project);

CREATE INDEX vector_stores_of_project ON vector_stores (project);

-- Few, and read all at once.
CREATE TABLE api_keys (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
