-- Fairness between projects: a run repeats the project of its thread, so that the queue is read one project at a time.

ALTER TABLE runs ADD COLUMN project TEXT NOT NULL DEFAULT 'default';

UPDATE runs SET project = (SELECT project FROM threads WHERE threads.id = runs.thread_id)
  WHERE thread_id IN (SELECT id FROM threads WHERE project <> 'default');

-- A thread never changes its project, so this is said once.
CREATE TRIGGER runs_take_project AFTER INSERT ON runs
  WHEN (SELECT project FROM threads WHERE id = new.thread_id) <> new.project
BEGIN
  UPDATE runs SET project = (SELECT project FROM threads WHERE id = new.thread_id) WHERE seq = new.seq;
END;

DROP INDEX runs_wanting_work;

-- The queue: what waits has no lease or a lapsed one.
CREATE INDEX runs_wanting_work ON runs (project, lease_until)
  WHERE status IN ('queued', 'in_progress', 'cancelling');

DROP INDEX runs_by_owner;

CREATE INDEX runs_by_owner ON runs (lease_owner, project) WHERE lease_owner IS NOT NULL;

CREATE INDEX runs_queued ON runs (project) WHERE status = 'queued';
