import { expect, test } from 'vitest';
import { fuzzCapture } from './capture-fuzz.ts';

test('bad input: 3,000 hostile requests of one seed: F1 no crash, F2 no status without a name, F3 neighbours stored as they were sent', async () => {
  const report = await fuzzCapture({ requests: 3_000, seed: 7 });
  expect(report.broken).toEqual([]);
  // A fuzz that is always refused at the door tests the door.
  expect(report.storedRecords).toBeGreaterThan(report.neighbours + 100);
  expect(report.neighbours).toBe(300);
});
