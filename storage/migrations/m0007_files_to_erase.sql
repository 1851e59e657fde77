-- A file that is taken out of a vector store is gone at once and erased little by little: deleting the words of ten
-- thousand chunks takes seconds, and nobody may wait for it.

-- All chunks of these files are dead: nothing finds them, and the eraser deletes them. How many are left of each kind.
CREATE TABLE files_to_erase (
  vector_store_id TEXT NOT NULL,
  file_id TEXT NOT NULL,
  chunks INTEGER NOT NULL,
  vectors INTEGER NOT NULL,
  PRIMARY KEY (vector_store_id, file_id)
) STRICT, WITHOUT ROWID;

CREATE VIEW live_chunks AS
SELECT * FROM chunks AS c WHERE NOT EXISTS (
  SELECT 1 FROM files_to_erase AS e WHERE e.vector_store_id = c.vector_store_id AND e.file_id = c.file_id
);

CREATE TRIGGER chunks_erased BEFORE DELETE ON chunks BEGIN
  UPDATE files_to_erase SET
    chunks = chunks - 1, vectors = vectors - (SELECT count(*) FROM chunk_vectors WHERE chunk = old.seq)
  WHERE vector_store_id = old.vector_store_id AND file_id = old.file_id;
END;

DROP TRIGGER store_files_leave_text;

-- A file that is taken out takes its text with it, in one transaction: a crash in between would leave for ever what
-- somebody wanted to be gone. When the store itself is deleted, its range is forgotten as a whole.
CREATE TRIGGER store_files_leave_text AFTER DELETE ON vector_store_files
  WHEN EXISTS (SELECT 1 FROM vector_stores WHERE id = old.vector_store_id)
BEGIN
  DELETE FROM extracts WHERE vector_store_id = old.vector_store_id AND file_id = old.file_id;
  INSERT OR IGNORE INTO files_to_erase (vector_store_id, file_id, chunks, vectors)
    SELECT old.vector_store_id, old.file_id, count(*), count(v.chunk)
    FROM chunks AS c LEFT JOIN chunk_vectors AS v ON v.chunk = c.seq
    WHERE c.vector_store_id = old.vector_store_id AND c.file_id = old.file_id
    HAVING count(*) > 0;
END;

DROP TRIGGER vector_stores_leave_text;

CREATE TRIGGER vector_stores_leave_text AFTER DELETE ON vector_stores BEGIN
  DELETE FROM files_to_erase WHERE vector_store_id = old.id;
  UPDATE text_stores SET vector_store_id = NULL WHERE vector_store_id = old.id;
END;
