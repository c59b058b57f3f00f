import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { registerServer } from '../left-behind.ts';

const run = promisify(execFile);
const CLUSTER_ID = 'dHJvdXBlLXRlc3QtY2x1cw'; // any 16 bytes in base64url
const UP = 'Kafka Server started';

export interface KafkaNodeOptions {
  readonly jars: string;
  readonly dir: string;
  readonly heapMb: number;
  readonly startTimeoutMs: number;
  /** Port of each listener, by its name. */
  readonly ports: Readonly<Record<string, number>>;
  /** Set when `dir` lies in a folder that goes with the cluster. */
  readonly temporaryDir: string | undefined;
}

/** One broker and controller in a Java process of its own. After `kill` or `stop`, `start` brings it back on the same ports and data. */
export interface KafkaNode {
  readonly ports: Readonly<Record<string, number>>;
  readonly logFile: string;
  readonly running: boolean;
  /** Writes the configuration and an empty log. `users`: names and passwords for SCRAM. */
  format(properties: string, users: Readonly<Record<string, string>>): Promise<void>;
  /** Resolves when the broker says that it is up. @throws Error with the end of its log when it does not come up. */
  start(): Promise<void>;
  /** SIGTERM by default, an orderly end; resolves when the process is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
  /** SIGSTOP: it takes connections and answers nothing, until `thaw`. */
  freeze(): void;
  thaw(): void;
}

export function createKafkaNode(options: KafkaNodeOptions): KafkaNode {
  const { dir, ports } = options;
  const config = join(dir, 'server.properties');
  const logFile = join(dir, 'broker.log');
  let child: ChildProcess | undefined;

  function javaArguments(main: string, ...rest: string[]): string[] {
    const log4j = `-Dlog4j2.configurationFile=${join(import.meta.dirname, 'log4j2.properties')}`;
    const vm = [`-Xmx${options.heapMb}m`, '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', log4j, '-cp', join(options.jars, '*')];
    return [...vm, main, ...rest];
  }

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const ending = child;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    await new Promise((resolve) => {
      ending.once('exit', resolve);
      ending.kill(signal);
    });
  }

  return {
    ports,
    logFile,
    get running() {
      return child !== undefined && child.exitCode === null && child.signalCode === null;
    },

    async format(properties, users) {
      await mkdir(dir, { recursive: true });
      await writeFile(config, properties);
      const scram = Object.entries(users).flatMap(([name, password]) =>
        ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => ['--add-scram', `${mechanism}=[name=${name},password=${password}]`]),
      );
      const format = javaArguments('kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', CLUSTER_ID, '-c', config, ...scram);
      await run('java', format);
    },

    async start() {
      const starting = spawn('java', javaArguments('kafka.Kafka', config), { stdio: ['ignore', 'pipe', 'pipe'] });
      child = starting;
      const endWithTest = (): void => void starting.kill('SIGKILL');
      process.once('exit', endWithTest);
      const strikeOut = starting.pid === undefined ? undefined : registerServer('kafka', starting.pid, options.temporaryDir);
      const log = createWriteStream(logFile, { flags: 'a' });
      starting.once('exit', () => {
        process.off('exit', endWithTest);
        strikeOut?.();
        log.end();
      });

      const up = Promise.withResolvers<void>();
      let tail = '';
      const fail = (why: string): void => up.reject(new Error(`Kafka ${why}:\n${tail.slice(-2000)}`));
      const timer = setTimeout(() => fail(`was not up after ${options.startTimeoutMs} ms`), options.startTimeoutMs);
      starting.once('error', (error) => fail(error.message));
      starting.once('exit', (code, signal) => fail(`ended with ${code ?? signal}`));
      for (const stream of [starting.stdout, starting.stderr]) {
        stream.pipe(log, { end: false });
        const watch = (chunk: Buffer): void => {
          tail = (tail + chunk.toString()).slice(-4000);
          if (tail.includes(UP)) up.resolve();
        };
        stream.on('data', watch);
        void up.promise.then(() => stream.off('data', watch)).catch(() => undefined); // the caller gets the rejection
      }
      try {
        await up.promise;
      } catch (error) {
        await stop('SIGKILL');
        throw error;
      } finally {
        clearTimeout(timer);
      }
    },

    stop,
    kill: () => stop('SIGKILL'),
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
  };
}
