import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { violations } from '../kit/architecture.ts';

const root = join(import.meta.dirname, '../..');

describe('who may import whom', () => {
  it('holds in the whole tree', () => {
    const paths = globSync(['src/**/*.ts', 'actors/**/*.ts', 'supervisors/**/*.ts'], { cwd: root });
    expect(paths.length).toBeGreaterThan(50);
    expect(violations(new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')])))).toEqual([]);
  });

  const planted: readonly (readonly [rule: string, path: string, text: string])[] = [
    ['1', 'actors/router/behavior.ts', `import { start } from 'nact';`],
    ['1', 'src/http/x.ts', `import pg from 'pg';`],
    ['1', 'src/embedded/x.ts', `import { createClient } from '@clickhouse/client';`],
    ['1', 'src/capture/x.ts', `const sdk = await import('@opentelemetry/sdk-node');`],
    ['2', 'src/domain/x.ts', `import { randomUUID } from 'node:crypto';`],
    ['2', 'src/domain/x.ts', `import type { Clock } from '../runtime/clock.ts';`],
    ['3', 'src/runtime/x.ts', `import type { Event } from '../domain/event.ts';`],
    ['4', 'src/kafka/x.ts', `import type { StateStore } from '../redis/port.ts';`],
    ['4', 'src/kafka/x.ts', `import { systemClock } from '../runtime/clock.ts';`],
    ['4b', 'src/embedded/x.ts', `import { connect } from '../kafka/client.ts';`],
    ['4c', 'src/redis/port.ts', `import { state } from '../observe/facts.ts';`],
    ['4c', 'src/kafka/port.ts', `import { readFileSync } from 'node:fs';`],
    ['5', 'actors/router/x.ts', `import type { Client } from '../../src/clickhouse/client.ts';`],
    ['6', 'actors/router/x.ts', `import { make } from '../team/behavior.ts';`],
    ['6', 'actors/distinct-id/x.ts', `import { createRowWriter } from '../row-writer/behavior.ts';`],
    ['6', 'actors/row-writer/x.ts', `import { fly } from '../kafka-writer/flight.ts';`],
    ['7', 'actors/router/x.ts', `export * from '../../supervisors/root.ts';`],
    ['7', 'supervisors/x.ts', `import { receive } from '../actors/router/behavior.ts';`],
    ['7', 'supervisors/x.ts', `import { createPool } from '../src/postgres/client.ts';`],
    ['8', 'actors/router/x.ts', `import { loadConfig } from '../../src/config/load.ts';`],
    ['8', 'src/http/x.ts', `import type { Metrics } from '../telemetry/metrics.ts';`],
    ['8', 'src/http/x.ts', `import { topicsOf } from '../start/topics.ts';`],
    ['8c', 'src/start/x.ts', `import { parseCommand } from '../cli.ts';`],
    ['8b', 'src/http/x.ts', `import type { M } from '../../actors/router/messages.ts';`],
    ['9', 'src/http/x.ts', `const at = Date.now();`],
    ['9', 'src/http/x.ts', `const { env } = { env: process.env };`],
    ['9', 'actors/router/x.ts', `setTimeout(() => console.log(1), Math.random());`],
    ['9', 'supervisors/x.ts', `const deps = { wait: setTimeout };`],
    ['10', 'src/http/x.ts', `import { probe } from '../../test/kit/probe.ts';`],
  ];
  it.each(planted)('a planted breach of rule %s is found in %s: %s', (rule, path, text) => {
    const found = violations(new Map([[path, text]]));
    expect(found.map((line) => line.split(' ')[0])).toContain(rule);
    expect(found[0]).toContain(`: ${path} -> `);
  });

  it('a planted circle is found (rule 11), also one of types over three files', () => {
    const use = (to: string): string => `import type { X } from './${to}.ts';`;
    const found = violations(
      new Map([
        ['supervisors/a.ts', use('b')],
        ['supervisors/b.ts', use('c')],
        ['supervisors/c.ts', `${use('d')} ${use('a')}`],
        ['supervisors/d.ts', ''],
        ['src/runtime/cell.ts', use('life')],
        ['src/runtime/life.ts', use('cell')],
      ]),
    );
    expect(found).toEqual([
      '11 no import leads back to where it began: supervisors/a.ts -> supervisors/b.ts -> supervisors/c.ts -> supervisors/a.ts',
    ]);
  });

  const allowed: readonly (readonly [path: string, text: string])[] = [
    [
      'src/kafka/x.ts',
      `import type { Clock } from '../runtime/clock.ts'; import { state } from '../observe/facts.ts'; import { Kafka } from 'kafkajs';`,
    ],
    ['src/embedded/x.ts', `import { ProduceError } from '../kafka/port.ts'; import { readFileSync } from 'node:fs';`],
    ['actors/router/x.ts', `import { ProduceError } from '../../src/kafka/port.ts'; import { poison } from '../dead-letter/messages.ts';`],
    ['actors/kafka-writer/x.ts', `import { createRowWriter } from '../row-writer/behavior.ts';`],
    [
      'supervisors/x.ts',
      `import { router } from '../actors/router/index.ts'; import type { ClickHouse } from '../src/clickhouse/port.ts';`,
    ],
    [
      'src/main.ts',
      `import { loadConfig } from './config/load.ts'; import { root } from '../supervisors/root.ts'; loadConfig(process.env, Date.now());`,
    ],
    [
      'src/http/x.ts',
      `// Date.now() is not called here\nconst text = 'process.env'; const clock = deps.setTimeout; interface A { console: string } const f = ({ console }: A) => ({ console });`,
    ],
  ];
  it.each(allowed)('%s may do this: %s', (path, text) => {
    expect(violations(new Map([[path, text]]))).toEqual([]);
  });
});
