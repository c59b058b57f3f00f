import { describe, expect, it } from 'vitest';
import { helpText, parseCommand } from '../../../src/cli.ts';
import { ALL_SETTINGS } from '../../../src/config/schema.ts';

describe('the command line', () => {
  it.each([
    [[], { type: 'run', overrides: [] }],
    [['run', '--set', 'A=1', '--set', 'B=2'], { type: 'run', overrides: ['A=1', 'B=2'] }],
    [['demo'], { type: 'demo', exit: false, fresh: false, overrides: [] }],
    [['demo', '--exit', '--fresh'], { type: 'demo', exit: true, fresh: true, overrides: [] }],
    [['--migrate'], { type: 'migrate', overrides: [] }],
    [['--config-check'], { type: 'config-check', overrides: [] }],
    [['spill', 'list'], { type: 'spill', action: 'list', paths: [], withKept: false, overrides: [] }],
    [['spill', 'inspect', 'a', 'b'], { type: 'spill', action: 'inspect', paths: ['a', 'b'], withKept: false, overrides: [] }],
    [['spill', 'replay', '--kept', '--set', 'A=1'], { type: 'spill', action: 'replay', paths: [], withKept: true, overrides: ['A=1'] }],
    [['--config', 'f', '--set', 'A=1'], { type: 'run', overrides: ['TROUPE_CONFIG_FILE=f', 'A=1'] }],
    [
      ['spill', 'list', '--config', 'f'],
      { type: 'spill', action: 'list', paths: [], withKept: false, overrides: ['TROUPE_CONFIG_FILE=f'] },
    ],
    [['--version'], { type: 'version' }],
    [['-h'], { type: 'help' }],
  ])('%j is understood', (argv, command) => {
    expect(parseCommand(argv)).toEqual(command);
  });

  it.each([
    [['serve']],
    [['run', 'twice']],
    [['--nonsense']],
    [['--exit']],
    [['--migrate', '--config-check']],
    [['--set']],
    [['spill']],
    [['spill', 'eat']],
    [['spill', 'inspect']],
    [['spill', 'list', 'x']],
    [['spill', 'list', '--kept']],
    [['--kept']],
  ])('%j is refused, not guessed', (argv) => {
    expect(parseCommand(argv)).toMatchObject({ type: 'misused' });
  });

  it('--help names every setting, in lines that fit on a screen', () => {
    const help = helpText();
    expect(help.split('\n').filter((line) => line.length > 140)).toEqual([]);
    expect(help).toMatch(/^ {2}HTTP_SERVER_PORT +Port of .* \[6738\]$/m);
    expect(ALL_SETTINGS.filter(({ setting }) => !help.includes(setting.name))).toEqual([]);
  });
});
