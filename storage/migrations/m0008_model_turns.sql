-- What a run's model was given and gave, turn by turn: for people who study runs. It goes with its run.

CREATE TABLE model_turns (
  run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  number INTEGER NOT NULL, -- from 1 within the run
  body TEXT NOT NULL,
  PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;
