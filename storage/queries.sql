-- The statements of the hot paths that are more than "one object by its id" (those are made in rows.py).

-- name: project_of
-- Whose a thread is.
SELECT project FROM threads WHERE id = :thread_id;

-- name: project_of_run
-- Whose a run is: its thread's.
SELECT t.project FROM runs AS r CROSS JOIN threads AS t ON t.id = r.thread_id WHERE r.id = :run_id;

-- name: stores_of_project
-- Which of these vector stores are of a project.
SELECT id FROM vector_stores WHERE id IN (SELECT value FROM json_each(:ids)) AND project = :project;

-- name: active_run
-- The one run that locks the thread (index runs_active).
SELECT body FROM runs
WHERE thread_id = :thread_id AND status IN ('queued', 'in_progress', 'requires_action', 'cancelling');

-- name: claim_run
-- Take the oldest run that nobody works on, of the project with the fewest at this owner: a few look-ups a project.
WITH RECURSIVE at_work (project) AS (
  SELECT '' -- before the first
  UNION ALL
  SELECT (
    SELECT project FROM runs INDEXED BY runs_wanting_work
    WHERE status IN ('queued', 'in_progress', 'cancelling') AND project > at_work.project ORDER BY project LIMIT 1
  )
  FROM at_work WHERE at_work.project IS NOT NULL
)
UPDATE runs SET lease_owner = :owner, lease_until = :until
WHERE seq = (
  SELECT oldest FROM (
    SELECT
      (
        SELECT count(*) FROM runs INDEXED BY runs_by_owner
        WHERE lease_owner = :owner AND runs.project = at_work.project
      ) AS held,
      (
        SELECT min(seq) FROM (
          SELECT * FROM (
            SELECT seq FROM runs INDEXED BY runs_wanting_work
            WHERE status IN ('queued', 'in_progress', 'cancelling')
              AND runs.project = at_work.project AND lease_until IS NULL
            ORDER BY seq LIMIT 1
          )
          UNION ALL
          SELECT seq FROM runs INDEXED BY runs_wanting_work
          WHERE status IN ('queued', 'in_progress', 'cancelling')
            AND runs.project = at_work.project AND lease_until <= :now
        )
      ) AS oldest
    FROM at_work WHERE project <> ''
  )
  WHERE oldest IS NOT NULL AND (:share IS NULL OR held < :share)
  ORDER BY held, oldest LIMIT 1
)
RETURNING body;

-- name: several_projects
-- Whether more than one project has threads or a key that opens it.
SELECT count(DISTINCT project) > 1 FROM (
  SELECT min(project) AS project FROM threads
  UNION ALL
  SELECT max(project) FROM threads
  UNION ALL
  SELECT json_extract(body, '$.project') FROM api_keys WHERE json_extract(body, '$.revoked_at') IS NULL
);

-- name: claim_this_run
-- Take one run out of turn, if nobody works on it: to end it without a place among those executed.
UPDATE runs SET lease_owner = :owner, lease_until = :until
WHERE id = :run_id AND status IN ('queued', 'in_progress', 'cancelling')
  AND (lease_until IS NULL OR lease_until <= :now)
RETURNING body;

-- name: lease_owner
-- Whose a run is; asked in the transaction that writes to it, so that nobody writes to a run he has lost.
SELECT lease_owner FROM runs WHERE id = :run_id;

-- name: count_queued
-- The length of the queue (index runs_by_status).
SELECT count(*) FROM runs WHERE status = 'queued';

-- name: count_queued_of_project
-- One project's part of it (index runs_queued).
SELECT count(*) FROM runs INDEXED BY runs_queued WHERE status = 'queued' AND project = :project;

-- name: extend_leases
-- The heartbeat of an owner, for all it works on.
UPDATE runs SET lease_until = :until WHERE lease_owner = :owner;

-- name: leases_after
-- Those that end later than they can: the clock was set back. Looks at the runs at work only.
SELECT id, lease_owner, lease_until FROM runs INDEXED BY runs_by_owner
WHERE lease_owner IS NOT NULL AND lease_until > :until;

-- name: release_run
-- Give a run back to the queue, if it is still this owner's.
UPDATE runs SET lease_owner = NULL, lease_until = NULL WHERE id = :run_id AND lease_owner = :owner;

-- name: overdue_runs
-- Runs past their time, oldest first (index runs_expiring).
SELECT body FROM runs
WHERE status IN ('queued', 'in_progress', 'requires_action', 'cancelling') AND expires_at <= :now
ORDER BY expires_at, seq;

-- name: append_event
-- The next number of the run; the write lock is held, so nobody takes it in between.
INSERT INTO run_events (run_id, seq, name, data)
VALUES (:run_id, (SELECT coalesce(max(seq), 0) + 1 FROM run_events WHERE run_id = :run_id), :name, :data)
RETURNING seq;

-- name: events
-- A stretch of a run's journal.
SELECT seq, name, data FROM run_events WHERE run_id = :run_id AND seq > :after ORDER BY seq LIMIT :limit;

-- name: last_seq
-- The number of a run's latest event, 0 before the first.
SELECT coalesce(max(seq), 0) FROM run_events WHERE run_id = :run_id;

-- name: append_turn
-- What is kept of a model's turn; one that was kept already, by a commit whose answer got lost, stays.
INSERT INTO model_turns (run_id, number, body) VALUES (:run_id, :number, :body) ON CONFLICT DO NOTHING;

-- name: turns
-- A run's turns.
SELECT body FROM model_turns WHERE run_id = :run_id ORDER BY number;

-- name: count_turns
-- How many of them are kept.
SELECT count(*) FROM model_turns WHERE run_id = :run_id;

-- name: append_transcript
-- One more line of a thread's transcript.
INSERT INTO transcript (thread_id, run_id, step_id, message_id, body, evidence)
VALUES (:thread_id, :run_id, :step_id, :message_id, :body, :evidence);

-- name: transcript
-- The whole transcript of a thread, in order.
SELECT thread_id, run_id, step_id, message_id, body, evidence, seq
FROM transcript WHERE thread_id = :thread_id ORDER BY seq;

-- name: add_code_session
-- One more session on the ledger, unless the thread has one that began after :since.
INSERT INTO code_sessions (project, thread_id, run_id, started_at)
SELECT project, id, :run_id, :started_at FROM threads
WHERE id = :thread_id
  AND NOT EXISTS (SELECT 1 FROM code_sessions WHERE thread_id = :thread_id AND started_at > :since);

-- name: code_sessions
-- What the ledger has for a stretch of time.
SELECT project, thread_id, run_id, started_at FROM code_sessions
WHERE started_at >= :since AND started_at < :until ORDER BY started_at, seq;

-- name: code_sessions_of_project
-- The same of one project.
SELECT project, thread_id, run_id, started_at FROM code_sessions
WHERE project = :project AND started_at >= :since AND started_at < :until ORDER BY started_at, seq;

-- name: code_sessions_of_thread
-- What the ledger has for a thread.
SELECT project, thread_id, run_id, started_at FROM code_sessions
WHERE thread_id = :thread_id ORDER BY started_at, seq;

-- name: add_text_store
-- A range of rows for the texts of a vector store.
INSERT INTO text_stores (vector_store_id) SELECT :vector_store_id
WHERE NOT EXISTS (SELECT 1 FROM text_stores WHERE vector_store_id = :vector_store_id);

-- name: text_stores
-- The ranges of vector stores: their first rows, how many chunks and extracts lie in them, how many chunks are dead.
SELECT number << 32, s.chunks, extracts, coalesce(sum(e.chunks), 0)
FROM text_stores AS s LEFT JOIN files_to_erase AS e ON e.vector_store_id = s.vector_store_id
WHERE s.vector_store_id IN (SELECT value FROM json_each(:vector_store_ids)) GROUP BY number ORDER BY number;

-- name: chunk_rows
-- Where chunks lie.
SELECT c.seq FROM json_each(:keys) AS wanted CROSS JOIN live_chunks AS c ON c.id = wanted.value;

-- name: extract_rows
-- Where the extracts of files lie, by "<vector_store_id>/<file_id>".
SELECT e.seq FROM json_each(:keys) AS wanted CROSS JOIN extracts AS e
ON e.vector_store_id = substr(wanted.value, 1, instr(wanted.value, '/') - 1)
AND e.file_id = substr(wanted.value, instr(wanted.value, '/') + 1);

-- name: count_texts
-- How many chunks and extracts the word indexes have, whosever they are.
SELECT coalesce(sum(chunks), 0), coalesce(sum(extracts), 0) FROM text_stores;

-- name: drop_hidden_chunk
-- A chunk that goes to another store changes its range, one that was forgotten and not yet erased gives its id free.
DELETE FROM chunks WHERE id = :id
  AND seq >> 32 <> (SELECT number FROM text_stores WHERE vector_store_id = :vector_store_id);

-- name: drop_hidden_extract
-- So does an extract.
DELETE FROM extracts WHERE vector_store_id = :vector_store_id AND file_id = :file_id
  AND seq >> 32 <> (SELECT number FROM text_stores WHERE vector_store_id = :vector_store_id);

-- name: put_chunk
-- At the end of its store's range; a chunk that is put again keeps its place.
INSERT INTO chunks (seq, id, vector_store_id, file_id, position, heading, text, start, "end", page)
SELECT
  1 + coalesce(
    (SELECT seq FROM chunks WHERE seq BETWEEN s.number << 32 AND (s.number << 32) + 4294967295 ORDER BY seq DESC LIMIT 1),
    s.number << 32
  ),
  :id, :vector_store_id, :file_id, :position, :heading, :text, :start, :end, :page
FROM text_stores AS s WHERE s.vector_store_id = :vector_store_id
ON CONFLICT (id) DO UPDATE SET
  file_id = excluded.file_id, position = excluded.position,
  heading = excluded.heading, text = excluded.text, start = excluded.start, "end" = excluded."end",
  page = excluded.page;

-- name: put_vector
-- The vector of a chunk that is there.
INSERT INTO chunk_vectors (chunk, vector) SELECT seq, :vector FROM chunks WHERE id = :id
ON CONFLICT (chunk) DO UPDATE SET vector = excluded.vector;

-- name: drop_vector
-- A text that changed is not what its vector says any more.
DELETE FROM chunk_vectors WHERE chunk = (SELECT seq FROM chunks WHERE id = :id);

-- name: chunks
-- Chunks by id, in the order asked for.
SELECT c.id, c.vector_store_id, c.file_id, c.position, c.text, c.start, c."end", c.page, c.heading, v.vector
FROM json_each(:ids) AS wanted CROSS JOIN live_chunks AS c ON c.id = wanted.value
CROSS JOIN text_stores AS s ON s.number = c.seq >> 32 AND s.vector_store_id IS NOT NULL
LEFT JOIN chunk_vectors AS v ON v.chunk = c.seq
ORDER BY wanted.key;

-- name: file_chunks
-- The chunks of a file.
SELECT c.id, c.vector_store_id, c.file_id, c.position, c.text, c.start, c."end", c.page, c.heading, v.vector
FROM live_chunks AS c LEFT JOIN chunk_vectors AS v ON v.chunk = c.seq
WHERE c.vector_store_id = :vector_store_id AND c.file_id = :file_id
  AND c.seq >> 32 = (SELECT number FROM text_stores WHERE vector_store_id = :vector_store_id)
ORDER BY c.position;

-- name: store_chunks
-- The chunks of a whole vector store.
SELECT c.id, c.vector_store_id, c.file_id, c.position, c.text, c.start, c."end", c.page, c.heading, v.vector
FROM live_chunks AS c LEFT JOIN chunk_vectors AS v ON v.chunk = c.seq
WHERE c.vector_store_id = :vector_store_id
  AND c.seq >> 32 = (SELECT number FROM text_stores WHERE vector_store_id = :vector_store_id)
ORDER BY c.file_id, c.position;

-- name: chunks_to_embed
-- The next chunks of a file that wait for their vectors.
SELECT id, vector_store_id, file_id, position, text, start, "end", page, heading FROM live_chunks AS c
WHERE vector_store_id = :vector_store_id AND file_id = :file_id
  AND NOT EXISTS (SELECT 1 FROM chunk_vectors WHERE chunk = c.seq)
  AND c.seq >> 32 = (SELECT number FROM text_stores WHERE vector_store_id = :vector_store_id)
ORDER BY position LIMIT :limit;

-- name: chunk_span
-- The chunks of a file that overlap a stretch of its text.
SELECT id, vector_store_id, file_id, position, text, start, "end", page, heading FROM live_chunks
WHERE vector_store_id = :vector_store_id AND file_id = :file_id AND start < :end AND "end" > :start
  AND seq >> 32 = (SELECT number FROM text_stores WHERE vector_store_id = :vector_store_id)
ORDER BY position;

-- name: file_chunk_ids
-- Ids of the chunks of a file (index chunks_of_file).
SELECT id FROM live_chunks WHERE vector_store_id = :vector_store_id AND file_id = :file_id
  AND seq >> 32 = (SELECT number FROM text_stores WHERE vector_store_id = :vector_store_id)
ORDER BY position;

-- name: hide_file
-- Forget the chunks of a file at once; they are erased little by little.
INSERT OR IGNORE INTO files_to_erase (vector_store_id, file_id, chunks, vectors)
SELECT :vector_store_id, :file_id, count(*), count(v.chunk)
FROM chunks AS c LEFT JOIN chunk_vectors AS v ON v.chunk = c.seq
WHERE c.vector_store_id = :vector_store_id AND c.file_id = :file_id
HAVING count(*) > 0;

-- name: drop_hidden_file
-- The rest of a file that was forgotten, before it comes again.
DELETE FROM chunks WHERE vector_store_id = :vector_store_id AND file_id = :file_id
  AND EXISTS (SELECT 1 FROM files_to_erase WHERE vector_store_id = :vector_store_id AND file_id = :file_id);

-- name: file_is_erased
-- Nothing is left of it.
DELETE FROM files_to_erase WHERE vector_store_id = :vector_store_id AND file_id = :file_id;

-- name: show_files
-- The marks of files whose whole store is forgotten.
DELETE FROM files_to_erase WHERE vector_store_id = :vector_store_id;

-- name: hide_texts
-- Forget a whole vector store at once; its rows are erased little by little, and its next texts get a new range.
UPDATE text_stores SET vector_store_id = NULL WHERE vector_store_id = :vector_store_id;

-- name: delete_file_extracts
-- What was made of a file.
DELETE FROM extracts WHERE vector_store_id = :vector_store_id AND file_id = :file_id;

-- name: store_chunk_ids
-- Ids of the chunks of a vector store (index chunks_of_file).
SELECT id FROM live_chunks WHERE vector_store_id = :vector_store_id
  AND seq >> 32 = (SELECT number FROM text_stores WHERE vector_store_id = :vector_store_id)
ORDER BY file_id, position;

-- name: deleted_text_store
-- A deleted vector store whose text is not erased yet.
SELECT number FROM text_stores WHERE vector_store_id IS NULL LIMIT 1;

-- name: deleted_file
-- A file whose chunks are not erased yet.
SELECT vector_store_id, file_id FROM files_to_erase LIMIT 1;

-- name: erase_file_chunks
-- A slice of its chunks, with vectors and words.
DELETE FROM chunks WHERE seq IN (
  SELECT seq FROM chunks WHERE vector_store_id = :vector_store_id AND file_id = :file_id LIMIT :limit
);

-- name: erase_chunks
-- A slice of its chunks, with vectors and words.
DELETE FROM chunks WHERE seq IN (
  SELECT seq FROM chunks WHERE seq BETWEEN :number << 32 AND (:number << 32) + 4294967295 LIMIT :limit
);

-- name: erase_extracts
-- A slice of what was made of its files.
DELETE FROM extracts WHERE seq IN (
  SELECT seq FROM extracts WHERE seq BETWEEN :number << 32 AND (:number << 32) + 4294967295 LIMIT :limit
);

-- name: forget_text_store
-- Nothing is left of it.
DELETE FROM text_stores WHERE number = :number;

-- name: deletions_to_erase
-- Words were deleted from the indexes that old segments still have; how many ever.
SELECT deletions FROM words_to_erase WHERE deletions > erased;

-- name: words_are_erased
-- Those up to a number.
UPDATE words_to_erase SET erased = :deletions WHERE erased < :deletions;

-- name: vectors
-- Vectors by chunk id.
SELECT c.id, v.vector FROM json_each(:ids) AS wanted CROSS JOIN live_chunks AS c ON c.id = wanted.value
CROSS JOIN text_stores AS s ON s.number = c.seq >> 32 AND s.vector_store_id IS NOT NULL
CROSS JOIN chunk_vectors AS v ON v.chunk = c.seq;

-- name: store_vectors
-- The vectors of a vector store; the index chunks_of_file has the rest.
SELECT c.id, v.vector FROM live_chunks AS c CROSS JOIN chunk_vectors AS v ON v.chunk = c.seq
WHERE c.vector_store_id = :vector_store_id
  AND c.seq >> 32 = (SELECT number FROM text_stores WHERE vector_store_id = :vector_store_id)
ORDER BY c.file_id, c.position;

-- name: files_vectors
-- The vectors of some files of a vector store.
SELECT c.id, v.vector
FROM json_each(:file_ids) AS wanted
CROSS JOIN live_chunks AS c ON c.vector_store_id = :vector_store_id AND c.file_id = wanted.value
CROSS JOIN chunk_vectors AS v ON v.chunk = c.seq
WHERE c.seq >> 32 = (SELECT number FROM text_stores WHERE vector_store_id = :vector_store_id)
ORDER BY wanted.value, c.position;

-- name: count_store_vectors
-- How many of them there are; triggers count.
SELECT coalesce(sum(vectors), 0)
  - (SELECT coalesce(sum(vectors), 0) FROM files_to_erase WHERE vector_store_id = :vector_store_id)
FROM text_stores WHERE vector_store_id = :vector_store_id;

-- name: count_files_vectors
-- How many of some files.
SELECT count(*)
FROM json_each(:file_ids) AS wanted
CROSS JOIN live_chunks AS c ON c.vector_store_id = :vector_store_id AND c.file_id = wanted.value
CROSS JOIN chunk_vectors AS v ON v.chunk = c.seq
WHERE c.seq >> 32 = (SELECT number FROM text_stores WHERE vector_store_id = :vector_store_id);

-- name: put_extract
-- What was made of a file; one row for each, in the range of its store.
INSERT INTO extracts (seq, vector_store_id, file_id, content, recipe, filename, text_bytes, chunks, opening, complete)
SELECT
  1 + coalesce(
    (SELECT seq FROM extracts WHERE seq BETWEEN s.number << 32 AND (s.number << 32) + 4294967295 ORDER BY seq DESC LIMIT 1),
    s.number << 32
  ),
  :vector_store_id, :file_id, :content, :recipe, :filename, :text_bytes, :chunks, :opening, :complete
FROM text_stores AS s WHERE s.vector_store_id = :vector_store_id
ON CONFLICT (vector_store_id, file_id) DO UPDATE SET
  content = excluded.content, recipe = excluded.recipe, filename = excluded.filename,
  text_bytes = excluded.text_bytes, chunks = excluded.chunks, opening = excluded.opening,
  complete = excluded.complete;

-- name: extract
-- What was made of a file.
SELECT vector_store_id, file_id, content, recipe, filename, text_bytes, chunks, opening, complete FROM extracts
WHERE vector_store_id = :vector_store_id AND file_id = :file_id
  AND seq >> 32 = (SELECT number FROM text_stores WHERE vector_store_id = :vector_store_id);

-- name: find_extract
-- The same made before in the project of a vector store (index extracts_by_content).
SELECT e.vector_store_id, file_id, content, recipe, filename, text_bytes, chunks, opening, complete
FROM extracts AS e CROSS JOIN vector_stores AS s ON s.id = e.vector_store_id
WHERE content = :content AND recipe = :recipe AND complete
  AND e.seq >> 32 = (SELECT number FROM text_stores WHERE vector_store_id = e.vector_store_id)
  AND s.project = (SELECT project FROM vector_stores WHERE id = :vector_store_id)
ORDER BY e.seq LIMIT 1;

-- name: copy_chunks
-- A file's text under another key; a heading that begins with the name of the file takes the other one.
INSERT INTO chunks (seq, id, vector_store_id, file_id, position, heading, text, start, "end", page)
SELECT
  row_number() OVER (ORDER BY position) + (
    SELECT coalesce(
      (SELECT seq FROM chunks WHERE seq BETWEEN s.number << 32 AND (s.number << 32) + 4294967295 ORDER BY seq DESC LIMIT 1),
      s.number << 32
    )
    FROM text_stores AS s WHERE s.vector_store_id = :to_store
  ),
  :to_store || '/' || :to_file || '/' || position, :to_store, :to_file, position,
  iif(substr(heading, 1, length(:old_name)) = :old_name, :new_name || substr(heading, length(:old_name) + 1), heading),
  text, start, "end", page
FROM chunks WHERE vector_store_id = :from_store AND file_id = :from_file
  AND seq >> 32 = (SELECT number FROM text_stores WHERE vector_store_id = :from_store)
ORDER BY position;

-- name: copy_vectors
-- Its vectors; copies have equal positions.
INSERT INTO chunk_vectors (chunk, vector)
SELECT made.seq, v.vector
FROM chunks AS made
CROSS JOIN chunks AS old
  ON old.vector_store_id = :from_store AND old.file_id = :from_file AND old.position = made.position
CROSS JOIN chunk_vectors AS v ON v.chunk = old.seq
WHERE made.vector_store_id = :to_store AND made.file_id = :to_file;

-- name: end_storage
-- What a store took until now, if that changes.
UPDATE storage_periods SET until = :at
WHERE vector_store_id = :vector_store_id AND until IS NULL AND usage_bytes <> :usage_bytes;

-- name: begin_storage
-- What it takes from now on, unless that is known or it is gone.
INSERT INTO storage_periods (project, vector_store_id, usage_bytes, since)
SELECT project, id, :usage_bytes, :at FROM vector_stores
WHERE id = :vector_store_id AND :usage_bytes > 0
  AND NOT EXISTS (SELECT 1 FROM storage_periods WHERE vector_store_id = :vector_store_id AND until IS NULL);

-- name: storage_since
-- The periods that reach into a stretch of time: those that ended in it, and those that go on.
SELECT project, vector_store_id, usage_bytes, since, until FROM storage_periods
WHERE (until > :since OR until IS NULL) AND since < :until ORDER BY since, seq;

-- name: storage_of_project_since
-- The same of one project.
SELECT project, vector_store_id, usage_bytes, since, until FROM storage_periods
WHERE project = :project AND (until > :since OR until IS NULL) AND since < :until ORDER BY since, seq;

-- name: waiting_store_files
-- The oldest file that each vector store waits for, those in :beside left out (index vector_store_files_by_status).
SELECT s.project, f.body
FROM vector_stores AS s CROSS JOIN vector_store_files AS f ON f.seq = (
  SELECT min(w.seq) FROM vector_store_files AS w
  WHERE w.vector_store_id = s.id AND w.status = 'in_progress'
    AND w.id NOT IN (SELECT value FROM json_each(:beside))
)
WHERE s.status = 'in_progress' ORDER BY f.seq LIMIT :limit;

-- name: count_store_files
-- How many files of a vector store stand where, and their bytes.
SELECT status, count(*), sum(usage_bytes) FROM vector_store_files
WHERE vector_store_id = :vector_store_id GROUP BY status;

-- name: add_to_batch
-- A file is a member once, however often it is named.
INSERT INTO batch_files (batch_id, store_file) VALUES (:batch_id, :store_file) ON CONFLICT DO NOTHING;

-- name: count_batch_files
-- How many files of a batch stand where; files since taken out of the store do not count.
SELECT f.status, count(*) FROM batch_files AS b CROSS JOIN vector_store_files AS f ON f.id = b.store_file
WHERE b.batch_id = :batch_id GROUP BY f.status;

-- name: stores_with_file
-- The vector stores that hold a file, in the order they took it.
SELECT vector_store_id FROM vector_store_files WHERE file_id = :file_id ORDER BY seq;

-- name: batches_with_file
-- The batches still counting that a store's file is a member of (index batch_files_of_file).
SELECT b.id FROM batch_files AS m CROSS JOIN file_batches AS b ON b.id = m.batch_id
WHERE m.store_file = :store_file AND b.status = 'in_progress' ORDER BY b.seq;

-- name: owners_of_file
-- Who lists a file for the code interpreter; `kind` is a table's name.
SELECT owner FROM listed_files WHERE file_id = :file_id AND kind = :kind ORDER BY owner;

-- name: due_files
-- Files past their time.
SELECT body FROM files WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit;

-- name: due_uploads
-- Uploads that were neither completed nor cancelled in time.
SELECT body FROM uploads WHERE status = 'pending' AND expires_at <= :now ORDER BY expires_at LIMIT :limit;

-- name: due_vector_stores
-- Vector stores that nobody has used for long enough.
SELECT body FROM vector_stores WHERE status <> 'expired' AND expires_at <= :now ORDER BY expires_at LIMIT :limit;

-- name: next_due
-- When the next of the three comes.
SELECT min(at) FROM (
  SELECT min(expires_at) AS at FROM files WHERE expires_at IS NOT NULL
  UNION ALL SELECT min(expires_at) FROM uploads WHERE status = 'pending'
  UNION ALL SELECT min(expires_at) FROM vector_stores WHERE expires_at IS NOT NULL AND status <> 'expired'
);

-- name: unowned
-- Keys of bytes that nothing names.
SELECT value FROM json_each(:keys) AS key
WHERE NOT EXISTS (SELECT 1 FROM files WHERE id = key.value)
  AND NOT EXISTS (SELECT 1 FROM upload_parts WHERE id = key.value);
