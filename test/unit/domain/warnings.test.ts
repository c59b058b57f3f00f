import { describe, expect, it } from 'vitest';
import { WARNING_RULES } from '../../../src/domain/warnings.ts';
import { NEWER_WARNINGS, WARNINGS_4_5 } from '../../kit/warning-table.ts';

describe('ingestion warnings (4.5)', () => {
  it('4.5: there are those of PostHog, and no others', () => {
    expect(Object.keys(WARNING_RULES).sort()).toEqual([...Object.keys(WARNINGS_4_5), ...NEWER_WARNINGS].sort());
  });

  it.each(Object.entries(WARNINGS_4_5))('W-1: %s is always shown, or once an hour for what the table names', (type, { always }) => {
    expect(WARNING_RULES).toHaveProperty(type, {
      alwaysSend: always === true,
      debounceBy: typeof always === 'string' ? always : undefined,
    });
  });
});
