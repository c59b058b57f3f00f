import { execFile } from 'node:child_process';
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const pom = join(import.meta.dirname, 'pom.xml');
const exists = (path: string): Promise<boolean> => access(path).then(() => true, () => false); // prettier-ignore

/** What the tests run on, unless they ask for another one. */
async function defaultVersion(): Promise<string> {
  const version = /<kafka\.version>(.*?)</.exec(await readFile(pom, 'utf8'))?.[1];
  if (version === undefined) throw new Error(`${pom} names no kafka.version`);
  return version;
}

/** The folder for the broker's jars: KAFKA_JARS for the default version, or one per version in the user's cache. */
const jarsFolder = (version: string, isDefault: boolean): string =>
  (isDefault ? process.env['KAFKA_JARS'] : undefined) ?? join(homedir(), '.cache/troupe', `kafka-${version}`);

/**
 * The folder with the jars of an Apache Kafka broker; the first call lets Maven fetch them (43 MB, about 20 s).
 * @param version another release than that of pom.xml.
 * @throws Error with the reason in one sentence when Java or Maven is absent, or Maven fails.
 */
export async function installKafka(version?: string): Promise<string> {
  await run('java', ['-version']).catch((cause: unknown) => {
    throw new Error('Kafka needs Java 17 or later on the PATH.', { cause });
  });
  const wanted = version ?? (await defaultVersion());
  const jars = jarsFolder(wanted, version === undefined);
  if (await exists(jars)) return jars;
  const part = `${jars}.${process.pid}.part`; // several installers at once: the first rename wins
  await mkdir(part, { recursive: true });
  try {
    await run('mvn', ['-q', '-B', '-f', pom, `-Dkafka.version=${wanted}`, 'dependency:copy-dependencies', `-DoutputDirectory=${part}`]);
  } catch (cause) {
    await rm(part, { recursive: true, force: true });
    const absent = (cause as { code?: unknown }).code === 'ENOENT';
    throw new Error(absent ? 'Kafka needs Maven (mvn) on the PATH, or KAFKA_JARS.' : 'Maven could not fetch the jars of Kafka.', { cause });
  }
  await rename(part, jars).catch(async (cause: unknown) => {
    await rm(part, { recursive: true, force: true });
    if (!(await exists(jars))) throw cause;
  });
  return jars;
}
