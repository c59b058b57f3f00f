/**
 * Where the time of a CPU profile went: by room of the house (folder or package), then by function.
 *
 *     node test/bench/ingestion.bench.ts --profile          prints where the profile is
 *     node test/bench/profile.ts <file.cpuprofile> [us per event] [functions]
 *
 * Self time only; idle samples are left out. The profile samples by the wall clock and covers the start and the warm-up
 * too, so only its shares mean something: given what the benchmark measured for an event (main thread), it divides that.
 */
import { readFileSync } from 'node:fs';
import { amount } from './figures.ts';

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const [file = '', perEventUs = '0', top = '25'] = process.argv.slice(2);
const profile = JSON.parse(readFileSync(file, 'utf8')) as Profile;
const nodes = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
const byRoom = new Map<string, number>();
const byFunction = new Map<string, number>();
let sum = 0;
profile.samples.forEach((id, index) => {
  const frame = nodes.get(id);
  const us = profile.timeDeltas[index] ?? 0;
  if (frame === undefined || frame.functionName === '(idle)' || frame.functionName === '(program)') return;
  sum += us;
  const room = roomOf(frame.url, frame.functionName);
  add(byRoom, room, us);
  add(byFunction, `${frame.functionName || '(anonymous)'} ${frame.url.split('/').slice(-2).join('/')}:${frame.lineNumber + 1}`, us);
});
print(byRoom, [...byRoom.values()].filter((us) => us > sum / 200).length);
console.log('');
print(byFunction, Number(top));

function roomOf(url: string, name: string): string {
  if (url === '') return name === '(garbage collector)' ? 'garbage collector' : 'engine (JSON, Map, Buffer, …)';
  const packageName = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  if (packageName !== undefined) return `package ${packageName}`;
  if (url.startsWith('node:')) return `node ${url.slice(5).split('/').slice(0, 2).join('/')}`;
  return /\/((?:src|actors)\/[^/]+|supervisors)\//.exec(url)?.[1] ?? 'other';
}

function add(sums: Map<string, number>, name: string, us: number): void {
  sums.set(name, (sums.get(name) ?? 0) + us);
}

function print(sums: ReadonlyMap<string, number>, limit: number): void {
  for (const [name, us] of [...sums].sort((a, b) => b[1] - a[1]).slice(0, limit)) {
    const each = Number(perEventUs) > 0 ? `${amount((us / sum) * Number(perEventUs)).padStart(8)} us` : '';
    console.log(`${((100 * us) / sum).toFixed(1).padStart(6)} %${each}  ${name}`);
  }
}
