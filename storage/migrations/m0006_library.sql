-- Each vector store has a range of row numbers for its texts, so that its words are found without passing over others';
-- vectors apart from their text, so that either is read without the other and a vector may come later; what was made of
-- each file; attributes as rows, so that filters find an index; the ledger of what vector stores take.

-- The rows of a store are those from number << 32 on. A store that was deleted has no id any more: nothing finds its
-- rows, and they are erased little by little, since it takes longer than others may wait.
CREATE TABLE text_stores (
  number INTEGER PRIMARY KEY AUTOINCREMENT, -- never given again
  vector_store_id TEXT UNIQUE,
  chunks INTEGER NOT NULL DEFAULT 0, -- how many rows of each table
  extracts INTEGER NOT NULL DEFAULT 0,
  vectors INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TRIGGER vector_stores_leave_text AFTER DELETE ON vector_stores BEGIN
  UPDATE text_stores SET vector_store_id = NULL WHERE vector_store_id = old.id;
END;

INSERT INTO text_stores (vector_store_id) SELECT DISTINCT vector_store_id FROM chunks ORDER BY vector_store_id;

-- What was taken out of the word indexes lies in their old segments until these are merged.
CREATE TABLE words_to_erase (
  deletions INTEGER NOT NULL, -- ever made
  erased INTEGER NOT NULL -- as many of them are gone from the file
) STRICT;

INSERT INTO words_to_erase VALUES (0, 0);

ALTER TABLE chunks RENAME TO old_chunks;

CREATE TABLE chunks (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  vector_store_id TEXT NOT NULL,
  file_id TEXT NOT NULL,
  position INTEGER NOT NULL,
  heading TEXT NOT NULL,
  text TEXT NOT NULL,
  start INTEGER NOT NULL,
  "end" INTEGER NOT NULL,
  page INTEGER
) STRICT;

CREATE TABLE chunk_vectors (
  chunk INTEGER PRIMARY KEY, -- chunks.seq
  vector BLOB NOT NULL
) STRICT;

CREATE TRIGGER chunk_vectors_count AFTER INSERT ON chunk_vectors BEGIN
  UPDATE text_stores SET vectors = vectors + 1 WHERE number = new.chunk >> 32;
END;

CREATE TRIGGER chunk_vectors_count_down AFTER DELETE ON chunk_vectors BEGIN
  UPDATE text_stores SET vectors = vectors - 1 WHERE number = old.chunk >> 32;
END;

DROP TABLE chunk_words;

INSERT INTO chunks (seq, id, vector_store_id, file_id, position, heading, text, start, "end", page)
  SELECT
    (s.number << 32) + row_number() OVER (PARTITION BY s.number ORDER BY c.seq),
    id, c.vector_store_id, file_id, position, heading, text, start, "end", page
  FROM old_chunks AS c CROSS JOIN text_stores AS s ON s.vector_store_id = c.vector_store_id;

INSERT INTO chunk_vectors (chunk, vector)
  SELECT c.seq, o.vector FROM old_chunks AS o CROSS JOIN chunks AS c ON c.id = o.id WHERE o.vector IS NOT NULL;

DROP TABLE old_chunks;

-- Ends in id, so that ids are listed without reading text.
CREATE INDEX chunks_of_file ON chunks (vector_store_id, file_id, position, id);

CREATE VIRTUAL TABLE chunk_words USING fts5 (
  heading, text, content = 'chunks', content_rowid = 'seq', tokenize = 'porter unicode61'
);

INSERT INTO chunk_words (chunk_words) VALUES ('rebuild');

UPDATE text_stores SET chunks = (SELECT count(*) FROM chunks WHERE chunks.vector_store_id = text_stores.vector_store_id);

CREATE TRIGGER chunks_add_words AFTER INSERT ON chunks BEGIN
  INSERT INTO chunk_words (rowid, heading, text) VALUES (new.seq, new.heading, new.text);
  UPDATE text_stores SET chunks = chunks + 1 WHERE number = new.seq >> 32;
END;

CREATE TRIGGER chunks_drop_words AFTER DELETE ON chunks BEGIN
  INSERT INTO chunk_words (chunk_words, rowid, heading, text)
    VALUES ('delete', old.seq, old.heading, old.text);
  DELETE FROM chunk_vectors WHERE chunk = old.seq;
  UPDATE text_stores SET chunks = chunks - 1 WHERE number = old.seq >> 32;
  UPDATE words_to_erase SET deletions = deletions + 1;
END;

CREATE TRIGGER chunks_change_words AFTER UPDATE OF heading, text ON chunks
  WHEN new.heading IS NOT old.heading OR new.text IS NOT old.text
BEGIN
  INSERT INTO chunk_words (chunk_words, rowid, heading, text)
    VALUES ('delete', old.seq, old.heading, old.text);
  INSERT INTO chunk_words (rowid, heading, text) VALUES (new.seq, new.heading, new.text);
  UPDATE words_to_erase SET deletions = deletions + 1;
END;

-- What was made of a file in a vector store. No reference to vector_store_files, as with chunks.
CREATE TABLE extracts (
  seq INTEGER PRIMARY KEY, -- in the store's range, as with chunks
  vector_store_id TEXT NOT NULL,
  file_id TEXT NOT NULL,
  content TEXT NOT NULL,
  recipe TEXT NOT NULL,
  filename TEXT NOT NULL,
  text_bytes INTEGER NOT NULL,
  chunks INTEGER NOT NULL,
  opening TEXT NOT NULL,
  complete INTEGER NOT NULL,
  UNIQUE (vector_store_id, file_id)
) STRICT;

CREATE INDEX extracts_by_content ON extracts (content, recipe) WHERE complete;

CREATE VIRTUAL TABLE file_words USING fts5 (
  filename, opening, content = 'extracts', content_rowid = 'seq', tokenize = 'porter unicode61'
);

CREATE TRIGGER extracts_add_words AFTER INSERT ON extracts BEGIN
  INSERT INTO file_words (rowid, filename, opening) VALUES (new.seq, new.filename, new.opening);
  UPDATE text_stores SET extracts = extracts + 1 WHERE number = new.seq >> 32;
END;

CREATE TRIGGER extracts_drop_words AFTER DELETE ON extracts BEGIN
  INSERT INTO file_words (file_words, rowid, filename, opening)
    VALUES ('delete', old.seq, old.filename, old.opening);
  UPDATE text_stores SET extracts = extracts - 1 WHERE number = old.seq >> 32;
  UPDATE words_to_erase SET deletions = deletions + 1;
END;

CREATE TRIGGER extracts_change_words AFTER UPDATE OF filename, opening ON extracts
  WHEN new.filename IS NOT old.filename OR new.opening IS NOT old.opening
BEGIN
  INSERT INTO file_words (file_words, rowid, filename, opening)
    VALUES ('delete', old.seq, old.filename, old.opening);
  INSERT INTO file_words (rowid, filename, opening) VALUES (new.seq, new.filename, new.opening);
  UPDATE words_to_erase SET deletions = deletions + 1;
END;

-- The files that were indexed before. Their content is not known, so none of them stands in for another one; what has no
-- chunks was not indexed or had no text.
INSERT INTO extracts (seq, vector_store_id, file_id, content, recipe, filename, text_bytes, chunks, opening, complete)
  SELECT
    (min(c.seq) >> 32 << 32) + row_number() OVER (PARTITION BY c.vector_store_id ORDER BY c.file_id),
    c.vector_store_id, c.file_id, '', '',
    coalesce((SELECT json_extract(body, '$.filename') FROM files WHERE id = c.file_id), ''),
    sum(length(CAST(c.text AS BLOB))), count(*),
    (SELECT text FROM chunks WHERE vector_store_id = c.vector_store_id AND file_id = c.file_id ORDER BY position LIMIT 1),
    count(v.chunk) = count(*)
  FROM chunks AS c LEFT JOIN chunk_vectors AS v ON v.chunk = c.seq
  GROUP BY c.vector_store_id, c.file_id;

-- A file that is taken out takes its text with it, in one transaction: a crash in between would leave for ever what
-- somebody wanted to be gone. The other way round text may come before its file. When the store itself is deleted, its
-- text goes as told above.
CREATE TRIGGER store_files_leave_text AFTER DELETE ON vector_store_files
  WHEN EXISTS (SELECT 1 FROM vector_stores WHERE id = old.vector_store_id)
BEGIN
  DELETE FROM chunks WHERE vector_store_id = old.vector_store_id AND file_id = old.file_id;
  DELETE FROM extracts WHERE vector_store_id = old.vector_store_id AND file_id = old.file_id;
END;

-- Attributes of the files of vector stores, turned round; the triggers keep it in step with the bodies. Both kinds of
-- numbers are one kind, as in filters.
CREATE TABLE file_attributes (
  vector_store_id TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL, -- text, number, boolean
  value ANY NOT NULL,
  store_file INTEGER NOT NULL, -- vector_store_files.seq
  PRIMARY KEY (vector_store_id, name, kind, value, store_file)
) STRICT, WITHOUT ROWID;

CREATE INDEX file_attributes_of_file ON file_attributes (store_file);

CREATE TRIGGER store_files_list_attributes AFTER INSERT ON vector_store_files
  WHEN json_valid(new.body) -- a number that is none has no JSON form
BEGIN
  INSERT INTO file_attributes (vector_store_id, name, kind, value, store_file)
    SELECT new.vector_store_id, key, replace(replace(replace(replace(type, 'true', 'boolean'), 'false', 'boolean'),
      'integer', 'number'), 'real', 'number'), value, new.seq
    FROM json_each(new.body, '$.attributes');
END;

CREATE TRIGGER store_files_change_attributes AFTER UPDATE OF body ON vector_store_files
  WHEN NOT json_valid(old.body) OR NOT json_valid(new.body)
    OR json_extract(new.body, '$.attributes') IS NOT json_extract(old.body, '$.attributes')
BEGIN
  DELETE FROM file_attributes WHERE store_file = old.seq;
  INSERT INTO file_attributes (vector_store_id, name, kind, value, store_file)
    SELECT new.vector_store_id, key, replace(replace(replace(replace(type, 'true', 'boolean'), 'false', 'boolean'),
      'integer', 'number'), 'real', 'number'), value, new.seq
    FROM json_each(iif(json_valid(new.body), new.body, '{}'), '$.attributes');
END;

CREATE TRIGGER store_files_leave_attributes AFTER DELETE ON vector_store_files BEGIN
  DELETE FROM file_attributes WHERE store_file = old.seq;
END;

INSERT INTO file_attributes (vector_store_id, name, kind, value, store_file)
  SELECT f.vector_store_id, a.key, replace(replace(replace(replace(a.type, 'true', 'boolean'), 'false', 'boolean'),
    'integer', 'number'), 'real', 'number'), a.value, f.seq
  FROM vector_store_files AS f CROSS JOIN json_each(f.body, '$.attributes') AS a WHERE json_valid(f.body);

-- What each vector store takes, from when until when (Unix seconds; no end: still). No reference to vector_stores: what
-- was used stays used when one is deleted. What was used before this table is not known: existing stores begin today.
CREATE TABLE storage_periods (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  project TEXT NOT NULL,
  vector_store_id TEXT NOT NULL,
  usage_bytes INTEGER NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER
) STRICT;

CREATE UNIQUE INDEX storage_periods_open ON storage_periods (vector_store_id) WHERE until IS NULL;

CREATE INDEX storage_periods_by_end ON storage_periods (until);

CREATE INDEX storage_periods_of_project ON storage_periods (project, until);

INSERT INTO storage_periods (project, vector_store_id, usage_bytes, since)
  SELECT s.project, s.id, sum(f.usage_bytes), CAST(strftime('%s', 'now') AS INTEGER)
  FROM vector_stores AS s CROSS JOIN vector_store_files AS f ON f.vector_store_id = s.id
  WHERE s.status <> 'expired' -- one that has expired takes nothing any more
  GROUP BY s.id HAVING sum(f.usage_bytes) > 0;
