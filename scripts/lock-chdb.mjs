/**
 * Completes package-lock.json with the platform packages a registry mirror may lack, so that `npm ci` does not stop with
 * "Missing: @chdb/lib-darwin-arm64@ from lock file". npm writes a lock entry only for packages it could look up; the
 * missing ones are optional and skipped by os/cpu on every other machine, so an entry without a tarball is harmless there.
 *
 * Run it after each change of the lock: `node scripts/lock-chdb.mjs`. It changes nothing when nothing is missing.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const file = process.argv[2] ?? new URL('../package-lock.json', import.meta.url);
const text = readFileSync(file, 'utf8');
const lock = JSON.parse(text);
const { packages } = lock;

/** Everything that names optional platform packages: chdb does for its engines, we do for PostgreSQL. */
const wanted = { ...packages['node_modules/chdb'].optionalDependencies, ...packages[''].optionalDependencies };

const added = [];
for (const [name, version] of Object.entries(wanted)) {
  const key = `node_modules/${name}`;
  const platform = /(?:lib-)?(darwin|linux|win32|windows)-(arm64|x64)(?:-(gnu|musl))?$/.exec(name);
  if (packages[key] !== undefined || platform === null) continue;
  const [, os, cpu, libc] = platform;
  packages[key] = {
    version,
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc === 'gnu' ? 'glibc' : 'musl'] }),
    optional: true,
    os: [os === 'windows' ? 'win32' : os],
  };
  added.push(name);
}
lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
const repaired = JSON.stringify(lock, null, 2) + '\n';
if (repaired !== text) writeFileSync(file, repaired);
console.log(added.length === 0 ? 'package-lock.json: complete' : `package-lock.json: added ${added.join(', ')}`);
