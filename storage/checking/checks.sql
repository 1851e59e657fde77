-- Invariants that SQL can ask for: each statement finds what breaks the one of its name, as (id, what was seen).
-- They read whole tables, row by row and in bounded memory. :final_... and :active are JSON lists of statuses.

-- name: project_of_run
-- Queues and limits go by the run's own copy.
SELECT r.id, 'its project is ' || r.project || ', its thread''s ' || t.project
FROM runs AS r CROSS JOIN threads AS t ON t.id = r.thread_id WHERE r.project <> t.project;

-- name: listed_files
-- Both ways, and that the files are there.
SELECT a.id, 'lists ' || file.value || ', which the index does not know'
FROM assistants AS a, json_each(a.body, '$.tool_resources.code_interpreter.file_ids') AS file
WHERE NOT EXISTS (SELECT 1 FROM listed_files WHERE file_id = file.value AND kind = 'assistants' AND owner = a.id)
UNION ALL
SELECT t.id, 'lists ' || file.value || ', which the index does not know'
FROM threads AS t, json_each(t.body, '$.tool_resources.code_interpreter.file_ids') AS file
WHERE NOT EXISTS (SELECT 1 FROM listed_files WHERE file_id = file.value AND kind = 'threads' AND owner = t.id)
UNION ALL
SELECT l.owner, 'does not list ' || l.file_id || ', as the index says' FROM listed_files AS l
WHERE NOT EXISTS (
  SELECT 1 FROM assistants AS a, json_each(a.body, '$.tool_resources.code_interpreter.file_ids') AS file
  WHERE l.kind = 'assistants' AND a.id = l.owner AND file.value = l.file_id
) AND NOT EXISTS (
  SELECT 1 FROM threads AS t, json_each(t.body, '$.tool_resources.code_interpreter.file_ids') AS file
  WHERE l.kind = 'threads' AND t.id = l.owner AND file.value = l.file_id
)
UNION ALL
SELECT l.owner, 'lists ' || l.file_id || ', which is not there' FROM listed_files AS l
WHERE NOT EXISTS (SELECT 1 FROM files WHERE id = l.file_id);

-- name: step_has_run
-- A thread's deletion takes runs and steps in one transaction.
SELECT s.id, iif(r.id IS NULL, 'its run ' || s.run_id || ' is not there', 'its run is of another thread')
FROM run_steps AS s LEFT JOIN runs AS r ON r.id = s.run_id
WHERE r.id IS NULL OR r.thread_id <> s.thread_id;

-- name: message_has_thread
-- The same of messages.
SELECT m.id, 'its thread ' || m.thread_id || ' is not there'
FROM messages AS m LEFT JOIN threads AS t ON t.id = m.thread_id WHERE t.id IS NULL;

-- name: message_has_run
-- Runs are deleted with their thread only.
SELECT m.id, 'its run ' || m.run_id || iif(r.id IS NULL, ' is not there', ' is of another thread')
FROM messages AS m LEFT JOIN runs AS r ON r.id = m.run_id
WHERE m.run_id IS NOT NULL AND (r.id IS NULL OR r.thread_id <> m.thread_id);

-- name: one_active_run
-- Not from the index that sees to it.
SELECT thread_id, 'has the runs ' || group_concat(id, ', ') FROM runs NOT INDEXED
WHERE status IN (SELECT value FROM json_each(:active)) GROUP BY thread_id HAVING count(*) > 1;

-- name: finished_run_closed
-- Whatever ended the run.
SELECT s.id, 'is ' || s.status || ', its run ' || r.id || ' is ' || r.status
FROM run_steps AS s CROSS JOIN runs AS r ON r.id = s.run_id
WHERE s.status NOT IN (SELECT value FROM json_each(:final_steps))
  AND r.status IN (SELECT value FROM json_each(:final_runs))
UNION ALL
SELECT m.id, 'is ' || m.status || ', its run ' || r.id || ' is ' || r.status
FROM messages AS m CROSS JOIN runs AS r ON r.id = m.run_id
WHERE m.status NOT IN (SELECT value FROM json_each(:final_messages))
  AND r.status IN (SELECT value FROM json_each(:final_runs));

-- name: finished_run_free
-- Else nobody could claim it when it comes back to the queue.
SELECT id, 'is ' || status || ' and owned by ' || lease_owner FROM runs
WHERE lease_owner IS NOT NULL AND status NOT IN ('queued', 'in_progress', 'cancelling');

-- name: run_has_owner
-- One that waits in the queue may have none.
SELECT id, 'is ' || status || iif(lease_until IS NULL, ' and nobody''s', printf(', its lease lapsed %.1f s ago', :now - lease_until))
FROM runs WHERE status IN ('in_progress', 'cancelling') AND (lease_until IS NULL OR lease_until <= :now);

-- name: run_in_time
-- The heartbeat looks for these once a second.
SELECT id, printf('is %s, its time was over %.0f s ago', status, :now - expires_at) FROM runs
WHERE status IN (SELECT value FROM json_each(:active)) AND expires_at <= :now - 5;

-- name: message_once
-- A turn that is done again makes a new message in a new step. A step that holds NaN is a tool's and makes none.
SELECT m.id, count(s.id) || ' steps of run ' || m.run_id || ' made it'
FROM messages AS m LEFT JOIN run_steps AS s ON s.run_id = m.run_id
  AND json_extract(iif(json_valid(s.body), s.body, '{}'), '$.step_details.message_creation.message_id') = m.id
WHERE m.run_id IS NOT NULL GROUP BY m.seq HAVING count(s.id) <> 1;

-- name: transcript_once
-- The model would read it twice.
SELECT message_id, 'has ' || count(*) || ' lines' FROM transcript
WHERE message_id IS NOT NULL GROUP BY message_id HAVING count(*) > 1;

-- name: message_in_transcript
-- A run's messages have lines as its turns went: one line tells of all that a turn said.
SELECT m.id, 'has no line' FROM messages AS m
WHERE m.run_id IS NULL AND NOT EXISTS (SELECT 1 FROM transcript WHERE message_id = m.id)
UNION ALL
SELECT t.message_id, 'has a line and is not there' FROM transcript AS t
WHERE t.message_id IS NOT NULL AND t.run_id IS NULL
  AND NOT EXISTS (SELECT 1 FROM messages WHERE id = t.message_id);

-- name: journal_numbered
-- Streams are resumed by these numbers.
SELECT run_id, printf('%d events with the numbers %d to %d', count(*), min(seq), max(seq)) FROM run_events
GROUP BY run_id HAVING min(seq) <> 1 OR max(seq) <> count(*);

-- name: upload_parts
-- The limits of an upload go by what it counts.
SELECT id, printf('counts %d parts of %d bytes, has %d of %d', said, said_bytes, parts, bytes) FROM (
  SELECT
    id, status, json_extract(body, '$.parts') AS said, json_extract(body, '$.received') AS said_bytes,
    (SELECT count(*) FROM upload_parts AS p WHERE p.upload_id = u.id) AS parts,
    (SELECT coalesce(sum(json_extract(p.body, '$.size')), 0) FROM upload_parts AS p WHERE p.upload_id = u.id) AS bytes
  FROM uploads AS u
) WHERE status = 'pending' AND (said <> parts OR said_bytes <> bytes)
UNION ALL
SELECT u.id, 'is ' || u.status || ' and has parts left' FROM uploads AS u
WHERE u.status <> 'pending' AND EXISTS (SELECT 1 FROM upload_parts AS p WHERE p.upload_id = u.id)
UNION ALL
SELECT id, 'is completed without a file' FROM uploads
WHERE status = 'completed' AND json_extract(body, '$.file') IS NULL;

-- name: store_files
-- A file's deletion takes it out of all vector stores.
SELECT s.id, 'the file is not there' FROM vector_store_files AS s
WHERE NOT EXISTS (SELECT 1 FROM files WHERE id = s.file_id);

-- name: store_counts
-- They are kept by differences.
SELECT id, printf('says %s and %d bytes, its files say %s and %d bytes', said, said_bytes, counts, bytes)
  || iif(status <> 'expired' AND (status = 'in_progress') <> (waiting > 0), ', and is ' || status, '')
FROM (
  SELECT
    s.id, s.status, json_extract(s.body, '$.usage_bytes') AS said_bytes,
    (SELECT coalesce(sum(f.usage_bytes), 0) FROM vector_store_files AS f WHERE f.vector_store_id = s.id) AS bytes,
    (SELECT count(*) FROM vector_store_files AS f WHERE f.vector_store_id = s.id AND f.status = 'in_progress') AS waiting,
    json_extract(s.body, '$.file_counts') AS said,
    (
      SELECT json_object(
        'in_progress', coalesce(sum(f.status = 'in_progress'), 0), 'completed', coalesce(sum(f.status = 'completed'), 0),
        'failed', coalesce(sum(f.status = 'failed'), 0), 'cancelled', coalesce(sum(f.status = 'cancelled'), 0),
        'total', count(*)
      ) FROM vector_store_files AS f WHERE f.vector_store_id = s.id
    ) AS counts
  FROM vector_stores AS s
)
WHERE said <> counts OR said_bytes <> bytes OR (status <> 'expired' AND (status = 'in_progress') <> (waiting > 0));

-- name: batch_counts
-- One that is over keeps its counts.
SELECT id, 'says ' || said || ', its files say ' || counts FROM (
  SELECT
    b.id, json_extract(b.body, '$.file_counts') AS said,
    (
      SELECT json_object(
        'in_progress', coalesce(sum(f.status = 'in_progress'), 0), 'completed', coalesce(sum(f.status = 'completed'), 0),
        'failed', coalesce(sum(f.status = 'failed'), 0), 'cancelled', coalesce(sum(f.status = 'cancelled'), 0),
        'total', count(*)
      ) FROM batch_files AS m CROSS JOIN vector_store_files AS f ON f.id = m.store_file WHERE m.batch_id = b.id
    ) AS counts
  FROM file_batches AS b WHERE b.status = 'in_progress'
) WHERE said <> counts OR json_extract(counts, '$.in_progress') = 0;

-- name: storage_ledger
-- The bill goes by it.
SELECT p.vector_store_id, printf('takes %d bytes by the ledger, %s', p.usage_bytes,
  CASE WHEN s.id IS NULL THEN 'and is not there' WHEN s.status = 'expired' THEN 'and has expired'
  ELSE printf('%d by its own word', json_extract(s.body, '$.usage_bytes')) END)
FROM storage_periods AS p LEFT JOIN vector_stores AS s ON s.id = p.vector_store_id
WHERE p.until IS NULL
  AND (s.id IS NULL OR s.status = 'expired' OR json_extract(s.body, '$.usage_bytes') <> p.usage_bytes)
UNION ALL
SELECT s.id, 'takes ' || json_extract(s.body, '$.usage_bytes') || ' bytes that the ledger does not know'
FROM vector_stores AS s
WHERE s.status <> 'expired' AND json_extract(s.body, '$.usage_bytes') > 0
  AND NOT EXISTS (SELECT 1 FROM storage_periods AS p WHERE p.vector_store_id = s.id AND p.until IS NULL);

-- name: file_attributes
-- Both ways; a body with a number that is none has no attributes here.
SELECT f.id, 'its ' || had.key || ' is not in the index'
FROM vector_store_files AS f, json_each(iif(json_valid(f.body), f.body, '{}'), '$.attributes') AS had
WHERE NOT EXISTS (
  SELECT 1 FROM file_attributes AS a
  WHERE a.vector_store_id = f.vector_store_id AND a.name = had.key AND a.store_file = f.seq AND a.value = had.value
)
UNION ALL
SELECT a.vector_store_id, 'the index has ' || a.name || ' for row ' || a.store_file || ', which does not say so'
FROM file_attributes AS a
WHERE NOT EXISTS (
  SELECT 1 FROM vector_store_files AS f, json_each(iif(json_valid(f.body), f.body, '{}'), '$.attributes') AS had
  WHERE f.seq = a.store_file AND f.vector_store_id = a.vector_store_id AND had.key = a.name AND had.value = a.value
);

-- name: text_ranges
-- A range without a store's id is being erased.
SELECT coalesce(vector_store_id, 'the range ' || number || ' of a deleted vector store'), printf(
  'counts %d chunks, %d extracts, %d vectors, has %d, %d, %d', said_chunks, said_extracts, said_vectors, chunks, extracts, vectors
) FROM (
  SELECT
    t.number, t.vector_store_id, t.chunks AS said_chunks, t.extracts AS said_extracts, t.vectors AS said_vectors,
    (SELECT count(*) FROM chunks AS c WHERE c.seq BETWEEN t.number << 32 AND (t.number << 32) + 4294967295) AS chunks,
    (SELECT count(*) FROM extracts AS e WHERE e.seq BETWEEN t.number << 32 AND (t.number << 32) + 4294967295) AS extracts,
    (SELECT count(*) FROM chunk_vectors AS v WHERE v.chunk BETWEEN t.number << 32 AND (t.number << 32) + 4294967295) AS vectors
  FROM text_stores AS t
) WHERE said_chunks <> chunks OR said_extracts <> extracts OR said_vectors <> vectors
UNION ALL
SELECT t.vector_store_id, 'has texts and is not there' FROM text_stores AS t
WHERE t.vector_store_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM vector_stores WHERE id = t.vector_store_id)
UNION ALL
SELECT c.id, 'lies in no range of its vector store' FROM chunks AS c LEFT JOIN text_stores AS t ON t.number = c.seq >> 32
WHERE t.number IS NULL OR t.vector_store_id <> c.vector_store_id
UNION ALL
SELECT e.vector_store_id || '/' || e.file_id, 'its extract lies in no range of its vector store'
FROM extracts AS e LEFT JOIN text_stores AS t ON t.number = e.seq >> 32
WHERE t.number IS NULL OR t.vector_store_id <> e.vector_store_id;

-- name: file_texts
-- Indexing writes the extract with the last chunk, and `complete` with the last vector.
SELECT id, printf('has %d of %d chunks, %d with a vector', found, chunks, vectors) FROM (
  SELECT
    e.vector_store_id || '/' || e.file_id AS id, e.chunks, e.complete,
    (
      SELECT count(*) FROM chunks AS c WHERE c.vector_store_id = e.vector_store_id AND c.file_id = e.file_id
        AND c.seq >> 32 = e.seq >> 32
    ) AS found,
    (
      SELECT count(*) FROM chunks AS c CROSS JOIN chunk_vectors AS v ON v.chunk = c.seq
      WHERE c.vector_store_id = e.vector_store_id AND c.file_id = e.file_id AND c.seq >> 32 = e.seq >> 32
    ) AS vectors
  FROM extracts AS e CROSS JOIN text_stores AS t ON t.number = e.seq >> 32 AND t.vector_store_id = e.vector_store_id
) WHERE found <> chunks OR (complete AND vectors <> found)
UNION ALL
SELECT f.id, 'is completed and its text is not' FROM vector_store_files AS f
CROSS JOIN vector_stores AS s ON s.id = f.vector_store_id
WHERE f.status = 'completed' AND f.usage_bytes > 0 AND s.status <> 'expired' AND NOT EXISTS (
  SELECT 1 FROM extracts AS e CROSS JOIN text_stores AS t ON t.number = e.seq >> 32 AND t.vector_store_id = e.vector_store_id
  WHERE e.vector_store_id = f.vector_store_id AND e.file_id = f.file_id AND e.complete
)
UNION ALL
SELECT DISTINCT c.vector_store_id || '/' || c.file_id, 'has text and is not in the vector store' FROM live_chunks AS c
CROSS JOIN text_stores AS t ON t.number = c.seq >> 32 AND t.vector_store_id IS NOT NULL
WHERE NOT EXISTS (SELECT 1 FROM vector_store_files AS f WHERE f.id = c.vector_store_id || '/' || c.file_id);

-- name: vectors_agree
-- Vectors of several lengths cannot be compared.
SELECT 'row ' || v.chunk, 'is the vector of no chunk' FROM chunk_vectors AS v
WHERE NOT EXISTS (SELECT 1 FROM chunks AS c WHERE c.seq = v.chunk)
UNION ALL
SELECT t.vector_store_id, printf('has vectors of %d and of %d bytes', min(length(v.vector)), max(length(v.vector)))
FROM text_stores AS t CROSS JOIN chunk_vectors AS v ON v.chunk BETWEEN t.number << 32 AND (t.number << 32) + 4294967295
WHERE t.vector_store_id IS NOT NULL GROUP BY t.number HAVING min(length(v.vector)) <> max(length(v.vector));
