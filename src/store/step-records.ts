/** What each step of a Dockerfile was made of when it was last run: what explains why it is run again. */
import type { Database } from "./database.ts";

/** A stage of a Dockerfile. */
export interface StagePlace {
  /** What tells one Dockerfile from others (BuildRequest.project), and the platform. */
  project: string;
  stage: string;
}

export interface StepRecord {
  /** Of the step within its stage. */
  number: number;
  text: string;
  /** JSON. */
  facts: string;
  /** What it gave, null when nothing; the snapshot may be gone. */
  snapshot: string | null;
}

/** Rows that are kept, the latest: of some hundred Dockerfiles. */
const KEPT = 20_000;

/** Takes the place of what was known of the step at that place. */
export function saveStepRecord(db: Database, { project, stage }: StagePlace, record: StepRecord): void {
  const { number, text, facts, snapshot } = record;
  db.query("INSERT OR REPLACE INTO step_records VALUES (?, ?, ?, ?, ?, ?)").run(
    project,
    stage,
    number,
    text,
    facts,
    snapshot,
  );
  // A replaced row gets the highest number anew.
  db.query("DELETE FROM step_records WHERE rowid <= (SELECT max(rowid) FROM step_records) - ?").run(KEPT);
}

/** In the order of the steps. */
export function stepRecords(db: Database, { project, stage }: StagePlace): StepRecord[] {
  return db
    .query(
      "SELECT number, text, facts, snapshot FROM step_records WHERE project = ? AND stage = ? ORDER BY number",
    )
    .all(project, stage) as StepRecord[];
}
