import { startEmbeddedPostgres } from '../../src/embedded/postgres.ts';
import { systemClock } from '../../src/runtime/clock.ts';

/** A process that owns an embedded server, to be killed: prints the server's pid once it is up, and stays. */
const [, , dataDir = ''] = process.argv;
const server = await startEmbeddedPostgres({ dataDir, clock: systemClock, settings: { fsync: 'off' } });
process.stdout.write(`${server.pid}\n`);
setInterval(() => undefined, 60_000);
