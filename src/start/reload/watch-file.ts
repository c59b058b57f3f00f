import { readFileSync, watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Clock, Timer } from '../../runtime/clock.ts';

export interface FileWatch {
  close(): void;
}

export interface WatchFileOptions {
  readonly path: string;
  readonly clock: Clock;
  /** The file holds something else than when it was last looked at, or it is gone, or there again. */
  readonly onChange: () => void;
  /** How long nothing may happen in the folder before the file is looked at: editors write in several steps. @defaultValue 250 */
  readonly settleMs?: number;
  /** How often it is looked at when nothing is heard: network file systems tell nothing. @defaultValue 10,000 */
  readonly pollMs?: number;
}

/**
 * Tells of changes of a file's content, however they come about: written in place, replaced by a rename (editors), or by a symbolic link
 * further up that is turned (Kubernetes). So its folder is watched and not the file, which would be another one after that; and the
 * content is compared, so that nothing is told twice, nor when only a time stamp is new.
 */
export function watchFile({ path, clock, onChange, settleMs = 250, pollMs = 10_000 }: WatchFileOptions): FileWatch {
  let seen = contentOf(path);
  let settling: Timer | undefined;
  let polling: Timer | undefined;
  let folder: FSWatcher | undefined;
  let isClosed = false;

  function look(): void {
    const content = contentOf(path);
    if (content === seen) return;
    seen = content;
    onChange();
  }
  function listen(): void {
    try {
      folder = watch(dirname(path), { persistent: false }, heard);
      folder.on('error', deaf);
    } catch {
      deaf(); // the folder is away, or there are no watches left: looking at it now and then goes on
    }
  }
  function deaf(): void {
    folder?.close();
    folder = undefined;
  }
  function heard(_event: string, name: string | null): void {
    // Of a link that is turned further up, the folder tells the name of that link.
    if (name !== null && name !== basename(path) && !name.startsWith('..')) return;
    settling?.cancel();
    settling = clock.after(settleMs, look);
  }
  function poll(): void {
    polling = clock.after(pollMs, () => {
      if (isClosed) return;
      if (folder === undefined) listen();
      look();
      poll();
    });
  }
  listen();
  poll();
  return {
    close() {
      isClosed = true;
      settling?.cancel();
      polling?.cancel();
      deaf();
    },
  };
}

/** The text of a file; of one that cannot be read, why. */
function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return `cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`;
  }
}
