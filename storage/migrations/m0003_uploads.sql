-- Parts of uploads; when files, uploads and vector stores expire; which assistants and threads list a file.

CREATE TABLE upload_parts (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  upload_id TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE INDEX upload_parts_of_upload ON upload_parts (upload_id);

ALTER TABLE files ADD COLUMN expires_at INTEGER;

ALTER TABLE uploads ADD COLUMN expires_at INTEGER;

ALTER TABLE vector_stores ADD COLUMN expires_at INTEGER;

UPDATE files SET expires_at = json_extract(body, '$.expires_at');

UPDATE uploads SET expires_at = json_extract(body, '$.expires_at');

UPDATE vector_stores SET expires_at = json_extract(body, '$.expires_at');

CREATE INDEX files_expiring ON files (expires_at) WHERE expires_at IS NOT NULL;

CREATE INDEX uploads_expiring ON uploads (expires_at) WHERE status = 'pending';

CREATE INDEX vector_stores_expiring ON vector_stores (expires_at)
  WHERE expires_at IS NOT NULL AND status <> 'expired';

CREATE INDEX batch_files_of_file ON batch_files (store_file);

-- The lists of the code interpreter, turned round: from a file to who lists it. The triggers keep it in step with the
-- bodies; most assistants and threads list nothing, and for those they only look. DISTINCT, not OR IGNORE: the conflict
-- clause of the statement that fires a trigger would win over it.
CREATE TABLE listed_files (
  file_id TEXT NOT NULL,
  kind TEXT NOT NULL, -- the owner's table
  owner TEXT NOT NULL,
  PRIMARY KEY (file_id, kind, owner)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER assistants_list_files AFTER INSERT ON assistants
  WHEN json_extract(new.body, '$.tool_resources.code_interpreter') IS NOT NULL
BEGIN
  INSERT INTO listed_files (file_id, kind, owner)
    SELECT DISTINCT value, 'assistants', new.id FROM json_each(new.body, '$.tool_resources.code_interpreter.file_ids');
END;

CREATE TRIGGER assistants_change_files AFTER UPDATE OF body ON assistants
  WHEN json_extract(new.body, '$.tool_resources') IS NOT json_extract(old.body, '$.tool_resources')
BEGIN
  DELETE FROM listed_files WHERE kind = 'assistants' AND owner = old.id AND file_id IN (
    SELECT value FROM json_each(old.body, '$.tool_resources.code_interpreter.file_ids'));
  INSERT INTO listed_files (file_id, kind, owner)
    SELECT DISTINCT value, 'assistants', new.id FROM json_each(new.body, '$.tool_resources.code_interpreter.file_ids');
END;

CREATE TRIGGER assistants_leave_files AFTER DELETE ON assistants
  WHEN json_extract(old.body, '$.tool_resources.code_interpreter') IS NOT NULL
BEGIN
  DELETE FROM listed_files WHERE kind = 'assistants' AND owner = old.id AND file_id IN (
    SELECT value FROM json_each(old.body, '$.tool_resources.code_interpreter.file_ids'));
END;

CREATE TRIGGER threads_list_files AFTER INSERT ON threads
  WHEN json_extract(new.body, '$.tool_resources.code_interpreter') IS NOT NULL
BEGIN
  INSERT INTO listed_files (file_id, kind, owner)
    SELECT DISTINCT value, 'threads', new.id FROM json_each(new.body, '$.tool_resources.code_interpreter.file_ids');
END;

CREATE TRIGGER threads_change_files AFTER UPDATE OF body ON threads
  WHEN json_extract(new.body, '$.tool_resources') IS NOT json_extract(old.body, '$.tool_resources')
BEGIN
  DELETE FROM listed_files WHERE kind = 'threads' AND owner = old.id AND file_id IN (
    SELECT value FROM json_each(old.body, '$.tool_resources.code_interpreter.file_ids'));
  INSERT INTO listed_files (file_id, kind, owner)
    SELECT DISTINCT value, 'threads', new.id FROM json_each(new.body, '$.tool_resources.code_interpreter.file_ids');
END;

CREATE TRIGGER threads_leave_files AFTER DELETE ON threads
  WHEN json_extract(old.body, '$.tool_resources.code_interpreter') IS NOT NULL
BEGIN
  DELETE FROM listed_files WHERE kind = 'threads' AND owner = old.id AND file_id IN (
    SELECT value FROM json_each(old.body, '$.tool_resources.code_interpreter.file_ids'));
END;

INSERT INTO listed_files (file_id, kind, owner)
  SELECT DISTINCT file.value, 'assistants', assistants.id
  FROM assistants, json_each(assistants.body, '$.tool_resources.code_interpreter.file_ids') AS file;

INSERT INTO listed_files (file_id, kind, owner)
  SELECT DISTINCT file.value, 'threads', threads.id
  FROM threads, json_each(threads.body, '$.tool_resources.code_interpreter.file_ids') AS file;
