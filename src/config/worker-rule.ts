import type { Problem } from './problem.ts';
import type { Rule } from './rule.ts';

/** How many workers capture may have, and where. */
export const WORKERS_RULE: Rule = {
  prose:
    'TROUPE_CAPTURE_WORKERS is `auto` or a number from 1 to 256; above 1 it comes with PLUGIN_SERVER_MODE=capture and KAFKA_HOSTS: other roles have one process each, and the embedded log one writer',
  check({ capture, server, kafka }) {
    const { workers } = capture;
    const count = workers === 'auto' ? 2 : /^\d{1,3}$/.test(workers) ? Number(workers) : 0;
    const allowed = '`auto`, or a number from 1 to 256; above 1 in mode `capture` and with KAFKA_HOSTS';
    const problem = (todo: string): Problem => ({ name: 'TROUPE_CAPTURE_WORKERS', value: workers, allowed, todo });
    if (count < 1 || count > 256) return problem('give a number or `auto`');
    if (count === 1 || (server.mode === 'capture' && kafka.hosts.length > 0)) return undefined;
    return problem(server.mode === 'capture' ? 'set KAFKA_HOSTS' : 'set PLUGIN_SERVER_MODE=capture, or leave it out');
  },
};
