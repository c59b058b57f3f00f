import { execFile } from 'node:child_process';
import { chownSync, cpSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Instruction {
  /** `FROM`, `COPY`, …, in capitals. */
  readonly name: string;
  /** What follows, its lines joined. */
  readonly rest: string;
}

/** The instructions of a Dockerfile, in order. Comments are gone, continued lines joined. */
export function instructionsOf(dockerfile: string): Instruction[] {
  return dockerfile
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => {
      const [, name = '', rest = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
      return { name: name.toUpperCase(), rest };
    });
}

/** What the image says about the process that it starts. */
export interface Image {
  /** Where the files of `/` are. */
  readonly root: string;
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly user: string | undefined;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
}

export interface ReplayOptions {
  readonly dockerfile: string;
  /** The build context. */
  readonly context: string;
  /** An empty folder; each stage gets one in it. */
  readonly dir: string;
  /** For RUN: what a base image would have on its PATH. */
  readonly path: string;
  /** Whether files can be given away (root). */
  readonly canChown: boolean;
}

/**
 * Builds an image without an engine: each stage is a folder, COPY copies, RUN runs in a shell. Absolute paths of the image become paths of the stage's
 * folder wherever they stand as a word of their own. There is no isolation: what a step does outside of its folder it does to this machine.
 * @throws Error for an instruction it does not know, so that no step is passed over.
 */
export async function replay({ dockerfile, context, dir, path, canChown }: ReplayOptions): Promise<Image> {
  const stages = new Map<string, string>();
  let root = '';
  let image: Omit<Image, 'root'> = { workdir: '/', env: {}, user: undefined, entrypoint: [], command: [], healthcheck: [] };

  for (const { name, rest } of instructionsOf(dockerfile)) {
    switch (name) {
      case 'FROM': {
        const stage = / AS (\w+)$/i.exec(rest)?.[1] ?? 'last';
        root = join(dir, stage);
        stages.set(stage, root);
        mkdirSync(root);
        image = { ...image, workdir: '/', env: {} };
        break;
      }
      case 'WORKDIR':
        mkdirSync(join(root, rest), { recursive: true });
        image = { ...image, workdir: rest };
        break;
      case 'COPY':
        await copy(rest, {
          context,
          stages,
          into: (target) => (target.startsWith('/') ? join(root, target) : join(root, image.workdir, target)),
          canChown,
        });
        break;
      case 'RUN':
        await run('/bin/sh', ['-ec', inside(root, rest)], {
          cwd: join(root, image.workdir),
          env: { ...ofTheNetwork(process.env), PATH: path, HOME: process.env['HOME'] ?? '/' },
          maxBuffer: 16 * 1024 * 1024,
        });
        break;
      case 'ENV': {
        const [key = '', value = ''] = rest.split(/=(.*)/s);
        image = { ...image, env: { ...image.env, [key]: inside(root, value) } };
        break;
      }
      case 'USER':
        image = { ...image, user: rest };
        break;
      case 'HEALTHCHECK':
        image = { ...image, healthcheck: wordsOf(rest.slice(rest.indexOf('CMD ') + 4)) };
        break;
      case 'ENTRYPOINT':
        image = { ...image, entrypoint: wordsOf(rest) };
        break;
      case 'CMD':
        image = { ...image, command: wordsOf(rest) };
        break;
      case 'EXPOSE': // a note for people
        break;
      default:
        throw new Error(`test/kit/dockerfile.ts does not know ${name}`);
    }
  }
  return { ...image, root };
}

/**
 * How this machine reaches the registry: an engine has its own proxies and certificates. Without them npm tries for minutes and takes what is in
 * its cache.
 */
function ofTheNetwork(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => NETWORK.test(name)));
}
const NETWORK = /^(?:https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_(?:FILE|DIR)|npm_config_(?:registry|cache))$/i;

/** Words of the exec form; the shell form would put a shell between the signals and node. */
function wordsOf(json: string): string[] {
  const words: unknown = JSON.parse(json);
  if (!Array.isArray(words)) throw new Error(`no exec form: ${json}`);
  return words.map(String);
}

const inside = (root: string, text: string): string => text.replaceAll(/(?<=^|[\s=])\/(?=app|data)/g, `${root}/`);

interface CopyOptions {
  readonly context: string;
  readonly stages: ReadonlyMap<string, string>;
  readonly into: (target: string) => string;
  readonly canChown: boolean;
}

/** Of a folder its contents are copied, as Docker does it; to a target that ends with a slash, by name. */
async function copy(rest: string, { context, stages, into, canChown }: CopyOptions): Promise<void> {
  const words = rest.split(/\s+/);
  const flags = new Map(words.filter((word) => word.startsWith('--')).map((word) => word.slice(2).split('=') as [string, string]));
  const paths = words.filter((word) => !word.startsWith('--'));
  const target = paths.pop() ?? '';
  const from = flags.get('from');
  const source = from === undefined ? context : stages.get(from);
  if (source === undefined) throw new Error(`COPY --from=${from ?? ''}: there is no such stage`);
  const [uid, gid] = (flags.get('chown') ?? '0:0').split(':').map(Number);
  for (const path of paths) {
    const one = join(source, path);
    if (!existsSync(one)) throw new Error(`COPY ${path}: it is not there`);
    const isFolder = statSync(one).isDirectory();
    const to = isFolder || !/(^\.|\/)$/.test(target) ? into(target) : join(into(target), basename(path));
    // Of a stage nobody looks at again, so its files may be the same ones: 250 MB need not be written twice.
    if (from === undefined) cpSync(one, to, { recursive: true, verbatimSymlinks: true });
    else await run('cp', ['-al', one, to]);
    if (canChown && flags.has('chown')) for (const each of [to, ...below(to)]) chownSync(each, uid ?? 0, gid ?? 0);
  }
}

const below = (path: string): string[] =>
  statSync(path).isDirectory() ? readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(path, name)) : [];
