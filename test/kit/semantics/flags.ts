import { NO_ROW, UUID, type SemanticCase } from './case.ts';

const details = (event: string, distinctId = 'd'): object => ({ eventUuid: UUID, event, distinctId });

/** 1.5, 1.7, 2.6 */
export const FLAGS: readonly SemanticCase[] = [
  {
    name: 'PP-1, PP-6: true is full, and is not stored',
    sent: [{ outer: { uuid: UUID }, properties: { $process_person_profile: true, $set: { a: 1 } } }],
    events: [
      {
        event: 'seen',
        properties: { $set: { a: 1 } },
        personMode: 'full',
        personProperties: { a: 1, $creator_event_uuid: UUID },
        isSyntheticPerson: false,
      },
    ],
  },
  {
    name: 'PP-2: false on an event that makes a person ends there, and the team is told of each',
    sent: ['$identify', '$create_alias', '$merge_dangerously', '$groupidentify'].map((event) => ({
      event,
      outer: { uuid: UUID },
      properties: { $process_person_profile: false, alias: 'x', $anon_distinct_id: 'y' },
      endsAt: 'invalidEventForProvidedFlags',
    })),
    events: NO_ROW,
    warnings: ['$create_alias', '$groupidentify', '$identify', '$merge_dangerously'].map((event) => ({
      type: 'invalid_event_when_process_person_profile_is_false',
      details: details(event),
    })),
  },
  {
    name: 'PP-3, PP-6, Q-2: false elsewhere has no person: no updates, no $group_0..4, no group types',
    sent: [
      {
        properties: { $process_person_profile: false, $set: { a: 1 }, $unset: ['b'], $group_0: 'acme', $groups: { planet: 'mars' } },
        inner: { $set_once: { c: 1 } },
      },
    ],
    events: [
      {
        event: 'seen',
        properties: { $process_person_profile: false, $groups: { planet: 'mars' } },
        personMode: 'propertyless',
        personProperties: {},
        isSyntheticPerson: true,
      },
    ],
  },
  {
    name: 'PP-4: any other value counts as true, and the team is told once',
    sent: [{ outer: { uuid: UUID }, properties: { $process_person_profile: 'false' } }, { properties: { $process_person_profile: 0 } }],
    events: [
      { event: 'seen', properties: {}, personMode: 'full' },
      { event: 'seen', properties: {}, personMode: 'full' },
    ],
    warnings: [
      {
        type: 'invalid_process_person_profile',
        details: {
          ...details('seen'),
          $process_person_profile: 'false',
          message: 'Only a boolean value is valid for the $process_person_profile property',
        },
      },
    ],
  },
  {
    name: '1.7, PP-4, L-3: the flag of a client warning is looked at before it ends',
    sent: [
      {
        event: '$$client_ingestion_warning',
        outer: { uuid: UUID },
        properties: { $$client_ingestion_warning_message: 'slow down', $process_person_profile: null },
        endsAt: 'clientIngestionWarning',
      },
    ],
    events: NO_ROW,
    warnings: [
      { type: 'client_ingestion_warning', details: { ...details('$$client_ingestion_warning'), message: 'slow down' } },
      {
        type: 'invalid_process_person_profile',
        details: {
          ...details('$$client_ingestion_warning'),
          $process_person_profile: null,
          message: 'Only a boolean value is valid for the $process_person_profile property',
        },
      },
    ],
  },
  {
    name: 'L-3, W-1, 10.33: client warnings are always shown, and neither an event nor a person',
    sent: [1, 2].map((n) => ({
      event: '$$client_ingestion_warning',
      outer: { uuid: UUID },
      properties: { $$client_ingestion_warning_message: `m${n}`, $set: { a: 1 } },
      endsAt: 'clientIngestionWarning',
    })),
    events: NO_ROW,
    warnings: [1, 2].map((n) => ({
      type: 'client_ingestion_warning',
      details: { ...details('$$client_ingestion_warning'), message: `m${n}` },
    })),
  },
  {
    name: 'T-4, W-1, 10.22: an event without a uuid ends with a warning, shown once an hour',
    sent: [
      { outer: { uuid: 'one' }, endsAt: 'populateTeamDataStep' },
      { outer: { uuid: 'two' }, endsAt: 'populateTeamDataStep' },
    ],
    events: NO_ROW,
    warnings: [{ type: 'skipping_event_invalid_uuid', details: { eventUuid: '"one"' } }],
  },
  {
    name: 'Z-4: a distinct_id as long as PostgreSQL holds is stored with its person',
    sent: [{ distinctId: 'a'.repeat(400) }],
    events: [{ event: 'seen', distinctId: 'a'.repeat(400), isSyntheticPerson: false }],
  },
  {
    name: 'T-8: a longer distinct_id ends with a warning, and is no error of PostgreSQL',
    sent: [{ distinctId: 'b'.repeat(401), outer: { uuid: UUID }, endsAt: 'populateTeamDataStep' }],
    events: NO_ROW,
    warnings: [{ type: 'skipping_event_invalid_distinct_id', details: { eventUuid: UUID, distinctId: 'b'.repeat(401) } }],
  },
  {
    name: "T-8: older than the team's drop_events_older_than ends with a warning; exactly as old does not",
    team: "drop_events_older_than = interval '1 hour'",
    sent: [
      { event: 'kept', inner: { timestamp: '2021-10-29T00:44:00.000Z' }, outer: { now: '2021-10-29T01:44:00.000Z' } },
      {
        event: 'old',
        inner: { timestamp: '2021-10-29T00:43:59.000Z' },
        outer: { uuid: UUID, now: '2021-10-29T01:44:00.000Z' },
        endsAt: 'populateTeamDataStep',
      },
    ],
    events: [{ event: 'kept', timestamp: '2021-10-29 00:44:00.000' }],
    warnings: [
      {
        type: 'event_dropped_too_old',
        details: { ...details('old'), eventTimestamp: '2021-10-29T00:43:59.000Z', ageInSeconds: 3_601, dropThresholdSeconds: 3_600 },
      },
    ],
  },
];
