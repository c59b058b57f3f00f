import { mkdirSync, rmSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Session } from 'chdb';
import { literal, type Statement } from './statement.ts';

/** One request as the engine runs it. */
export interface EngineRequest {
  readonly statement: Statement;
  readonly database: string;
  /** SET statement of this request's settings and parameters. */
  readonly settings: string | undefined;
  readonly answerFormat: string;
  /** Looked at right before anything is executed: false when whoever asked is gone. */
  readonly wanted: () => boolean;
}

/**
 * ClickHouse's engine inside this process.
 *
 * I1  Each request has a session of its own: settings, parameters and the database of one never reach another (in one
 *     session they stay, and a deduplication token left behind made the next insert vanish).
 * I2  Data reaches the engine through a file that only this user can read, never behind a statement (statement.ts).
 * I3  What nobody waits for any more is not begun.
 */
export interface Engine {
  /** Resolves to the bytes of the answer. @throws Error with "Code: n." in its message */
  run(request: EngineRequest): Promise<Uint8Array>;
  close(): void;
}

/**
 * Opens the data directory, or makes it.
 * @throws Error when another process has it open
 */
export function openEngine(dataDir: string): Engine {
  const path = join(dataDir, 'engine');
  const bodies = join(dataDir, 'bodies');
  mkdirSync(path, { recursive: true, mode: 0o700 });
  // Keeps the engine up between requests; a session per request then costs 0.16 ms.
  const base = new Session(path);
  rmSync(bodies, { recursive: true, force: true }); // of a life that was killed; only after the lock is ours
  mkdirSync(bodies, { mode: 0o700 });
  let bodyCount = 0;

  async function insert(session: Session, statement: Statement, wanted: () => boolean): Promise<Uint8Array> {
    const { data } = statement;
    if (data === undefined) throw new Error('an insert without data');
    const file = join(bodies, String(bodyCount++));
    try {
      await writeFile(file, data.body, { mode: 0o600 });
      if (wanted()) await session.queryAsync(`${statement.sql} FROM INFILE ${literal(file)} FORMAT ${data.format}`);
      return new Uint8Array();
    } finally {
      await rm(file, { force: true });
    }
  }

  return {
    async run({ statement, database, settings, answerFormat, wanted }) {
      const session = new Session(path);
      try {
        if (database !== 'default') await session.queryAsync(`USE \`${database.replaceAll('`', '')}\``);
        if (settings !== undefined) await session.queryAsync(settings);
        if (statement.kind === 'insert-data') return await insert(session, statement, wanted);
        if (!wanted()) return new Uint8Array();
        const answer = await session.queryAsync(statement.sql, { format: statement.answerFormat ?? answerFormat });
        // A copy: the bytes belong to the session, which closes now.
        return Uint8Array.from(answer.bytes());
      } finally {
        session.close();
      }
    },
    close: () => base.close(),
  };
}
