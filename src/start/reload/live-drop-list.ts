import type { Config } from '../../config/schema.ts';
import { parseDropList, type DropList } from '../../domain/token.ts';
import type { ReloadTarget } from './reloader.ts';

/** The drop list of ingestion, which asks it for each record: another list is in force from the next slice on. */
export function liveDropList(config: Pick<Config, 'ingestion'>): { readonly list: DropList; readonly target: ReloadTarget } {
  let current = listOf(config);
  return {
    list: {
      blocks: (envelope) => current.blocks(envelope),
      disallows: (envelope) => current.disallows(envelope),
      get malformed() {
        return current.malformed;
      },
    },
    target: {
      name: 'the drop list of ingestion',
      prepare(next) {
        const list = listOf(next);
        return () => void (current = list);
      },
    },
  };
}

const listOf = ({ ingestion }: Pick<Config, 'ingestion'>): DropList =>
  parseDropList({ byToken: ingestion.dropByToken.join(','), byTokenDistinctId: ingestion.dropByTokenDistinctId.join(',') });
