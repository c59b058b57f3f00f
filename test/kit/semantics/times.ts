import { UUID, type SemanticCase, type Sent, type StoredWarning } from './case.ts';

const at = (name: string, sent: Sent, timestamp: string, warnings: readonly StoredWarning[] = []): SemanticCase => ({
  name,
  sent: [sent],
  events: [{ event: 'seen', timestamp }],
  warnings,
});
const future = (parts: Readonly<Record<string, string | number>>): StoredWarning => ({
  type: 'event_timestamp_in_future',
  details: { timestamp: '', sentAt: '', offset: '', eventUuid: UUID, eventName: 'seen', ...parts },
});
const ignored = (field: string, value: string): StoredWarning => ({
  type: 'ignored_invalid_timestamp',
  details: { eventUuid: UUID, field, value, reason: `the input "${value}" can't be parsed as ISO 8601` },
});

/** 2.4, with the vectors that stand there. */
export const TIMES: readonly SemanticCase[] = [
  at(
    'TS-4: a timestamp is corrected by the time between event and sending',
    {
      inner: { timestamp: '2021-10-30T03:02:00.000Z' },
      outer: { sent_at: '2021-10-30T03:12:00.000Z', now: '2021-10-29T01:44:00.000Z' },
    },
    '2021-10-29 01:34:00.000',
  ),
  at(
    'TS-4: the same in another zone is the same',
    {
      inner: { timestamp: '2021-10-30T03:02:00.000+04:00' },
      outer: { sent_at: '2021-10-30T03:12:00.000+04:00', now: '2021-10-29T01:44:00.000Z' },
    },
    '2021-10-29 01:34:00.000',
  ),
  at(
    'TS-2: $ignore_sent_at leaves the timestamp as it is',
    {
      properties: { $ignore_sent_at: true },
      inner: { timestamp: '2021-10-30T03:02:00.000Z' },
      outer: { sent_at: '2021-10-30T03:12:00.000Z', now: '2021-11-29T01:44:00.000Z' },
    },
    '2021-10-30 03:02:00.000',
  ),
  at(
    'TS-5, TS-6: an offset counts back from now',
    { inner: { offset: 6_000 }, outer: { sent_at: '2021-10-30T03:12:00.000Z', now: '2021-10-29T01:44:00.000Z' } },
    '2021-10-29 01:43:54.000',
  ),
  at(
    'TS-5, 10.7: an offset beats a corrected timestamp',
    {
      inner: { timestamp: '2021-10-30T03:02:00.000Z', offset: 6_000 },
      outer: { sent_at: '2021-10-30T03:12:00.000Z', now: '2021-10-29T01:44:00.000Z' },
    },
    '2021-10-29 01:43:54.000',
  ),
  at(
    'TS-4, 10.7: without a sent_at the offset is ignored',
    { inner: { timestamp: '2021-10-28T03:02:00.000Z', offset: 6_000 }, outer: { now: '2021-10-29T01:44:00.000Z' } },
    '2021-10-28 03:02:00.000',
  ),
  at(
    'TS-7: corrected into the future is now, and the team is told',
    {
      inner: { timestamp: '2021-10-29T02:30:00.000Z' },
      outer: { uuid: UUID, sent_at: '2021-10-28T01:00:00.000Z', now: '2021-10-29T01:00:00.000Z' },
    },
    '2021-10-29 01:00:00.000',
    [
      future({
        timestamp: '2021-10-29T02:30:00.000Z',
        sentAt: '2021-10-28T01:00:00.000Z',
        now: '2021-10-29T01:00:00.000Z',
        result: '2021-10-30T02:30:00.000Z',
      }),
    ],
  ),
  at(
    'TS-7, 10.8: 23 hours and a minute ahead is now',
    { inner: { offset: -82_860_000 }, outer: { uuid: UUID, now: '2021-10-29T01:00:00.000Z' } },
    '2021-10-29 01:00:00.000',
    [future({ offset: -82_860_000, now: '2021-10-29T01:00:00.000Z', result: '2021-10-30T00:01:00.000Z' })],
  ),
  at(
    'TS-7, 10.8: exactly 23 hours ahead is allowed',
    { inner: { offset: -82_800_000 }, outer: { now: '2021-10-29T01:00:00.000Z' } },
    '2021-10-30 00:00:00.000',
  ),
  at(
    'TS-2: a sent_at that is no ISO time is as if absent, and the team is told',
    {
      inner: { timestamp: '2021-10-30T03:02:00.000Z' },
      outer: { uuid: UUID, sent_at: '30/10/2021', now: '2021-11-29T01:44:00.000Z' },
    },
    '2021-10-30 03:02:00.000',
    [ignored('sent_at', '30/10/2021')],
  ),
  at(
    'TS-3, 10.9: basic ISO dates are dates',
    { inner: { timestamp: '20211030T030200Z' }, outer: { now: '2021-11-29T01:44:00.000Z' } },
    '2021-10-30 03:02:00.000',
  ),
  at(
    'TS-1: a record without a now keeps the time of its event, and the team is told',
    { inner: { timestamp: '2021-10-30T03:02:00.000Z' }, outer: { uuid: UUID, now: undefined } },
    '2021-10-30 03:02:00.000',
    [ignored('now', '')],
  ),
  {
    name: "TS-1: of a record without a now, Kafka's time is that of its event",
    sent: [{ outer: { uuid: UUID, now: 'soon' } }],
    events: [{ event: 'seen', isNow: true }],
    warnings: [ignored('now', 'soon')],
  },
  {
    name: 'TS-8, 10.8: a timestamp that is none is the wall clock, not the now of the envelope',
    sent: [{ inner: { timestamp: 'notISO' }, outer: { uuid: UUID, now: '2021-10-29T01:00:00.000Z' } }],
    events: [{ event: 'seen', isNow: true }],
    warnings: [ignored('timestamp', 'notISO')],
  },
];
