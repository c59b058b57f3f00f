/** Starts an embedded ClickHouse, says its process id, and waits to be killed. Run as a process of its own by the tests. */
import { startEmbeddedClickHouse } from '../../src/embedded/clickhouse.ts';
import { systemClock } from '../../src/runtime/clock.ts';

const server = await startEmbeddedClickHouse({ dataDir: process.argv[2] ?? '', clock: systemClock });
process.stdout.write(`${server.pid}\n`);
setInterval(() => undefined, 60_000);
