import { parseArgs } from 'node:util';
import { describeSettings } from './config/describe.ts';

/** What the command line asks for, as data: `main.ts` does it. */
export type Command =
  | { readonly type: 'run'; readonly overrides: readonly string[] }
  /** Everything embedded, sample events, a look at the rows; `fresh` begins with an empty data folder, `exit` ends after the round. */
  | { readonly type: 'demo'; readonly exit: boolean; readonly fresh: boolean; readonly overrides: readonly string[] }
  /** Creates or alters the tables, then exits. */
  | { readonly type: 'migrate'; readonly overrides: readonly string[] }
  /** Prints the settings in force, then exits: 0 when they are right. */
  | { readonly type: 'config-check'; readonly overrides: readonly string[] }
  /** What capture wrote to disk while Kafka was away: look at it, or send it. */
  | {
      readonly type: 'spill';
      readonly action: 'list' | 'inspect' | 'replay';
      readonly paths: readonly string[];
      readonly withKept: boolean;
      readonly overrides: readonly string[];
    }
  | { readonly type: 'version' }
  | { readonly type: 'help' }
  /** The command line was not understood; `message` ends the process with code 2. */
  | { readonly type: 'misused'; readonly message: string };

/** Reads the command line (without node and script). Never throws. Unknown options and commands are refused, not ignored. */
export function parseCommand(argv: readonly string[]): Command {
  const parsed = parse(argv);
  if (parsed instanceof Error) return misused(parsed.message);
  const { values, positionals } = parsed;
  const [name = 'run', ...rest] = positionals;

  if (values.help) return { type: 'help' };
  if (values.version) return { type: 'version' };
  if (values.kept && !(name === 'spill' && rest[0] === 'replay')) return misused('--kept belongs to spill replay.');
  if (name === 'spill') return spillCommand(rest, values);
  if (name !== 'run' && name !== 'demo') return misused(`Unknown command '${name}'.`);
  if (rest.length > 0) return misused(`Unexpected argument '${rest.join(' ')}'.`);
  if (name === 'run' && (values.exit || values.fresh)) return misused('--exit and --fresh belong to demo.');

  const overrides = overridesOf(values);
  if (values.migrate && values['config-check']) return misused('--migrate and --config-check exclude each other.');
  if (values.migrate) return { type: 'migrate', overrides };
  if (values['config-check']) return { type: 'config-check', overrides };
  return name === 'demo'
    ? { type: 'demo', exit: values.exit ?? false, fresh: values.fresh ?? false, overrides }
    : { type: 'run', overrides };
}

/** `--config` is a setting like the others; `--set` goes before it. */
function overridesOf({ config, set = [] }: { readonly config?: string; readonly set?: string[] }): readonly string[] {
  return config === undefined ? set : [`TROUPE_CONFIG_FILE=${config}`, ...set];
}

type SpillValues = { readonly kept?: boolean; readonly config?: string; readonly set?: string[] };

function spillCommand([action, ...paths]: readonly string[], values: SpillValues): Command {
  if (action !== 'list' && action !== 'inspect' && action !== 'replay') return misused('spill wants list, inspect or replay.');
  if (action === 'inspect' && paths.length === 0) return misused('spill inspect wants the path of a segment.');
  if (action !== 'inspect' && paths.length > 0) return misused(`Unexpected argument '${paths.join(' ')}'.`);
  return { type: 'spill', action, paths, withKept: values.kept ?? false, overrides: overridesOf(values) };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean', short: 'v' },
        migrate: { type: 'boolean' },
        config: { type: 'string' },
        'config-check': { type: 'boolean' },
        set: { type: 'string', multiple: true },
        exit: { type: 'boolean' },
        fresh: { type: 'boolean' },
        kept: { type: 'boolean' },
      },
    });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error)); // parseArgs throws for what the user typed, and for nothing else
  }
}

const misused = (message: string): Command => ({ type: 'misused', message: `${message} --help tells what there is.` });

/** The text of `--help`: commands, options, and every setting. */
export function helpText(): string {
  return `Troupe: PostHog events in, exactly one ClickHouse row per event out.

Usage: troupe [run] [options]        capture, ingest and store until a signal
       troupe demo [--exit] [--fresh]
                                     the same with embedded servers and sample events;
                                     --exit ends after one round, --fresh begins with an empty data folder
       troupe spill list             what capture wrote to disk because Kafka did not take it
       troupe spill inspect <path>…  the records of segments, one line of JSON each
       troupe spill replay [--kept]  send what belongs to no living process, then exit (1 when something is left);
                                     --kept: also what was set aside for a person
Options:
  --config FILE      settings from a file, YAML or JSON; the environment goes before it (TROUPE_CONFIG_FILE)
  --set NAME=value   a setting, over the environment; may be given several times
  --config-check     print the settings in force with their origin, then exit (0 when they are right)
  --migrate          add to the tables what they lack, say what it was, then exit
  -v, --version      print the version
  -h, --help         print this

Settings are environment variables, or keys of a file; docs/configuration.md says what raising and lowering each one costs.

${describeSettings()}
`;
}
