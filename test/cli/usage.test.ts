import { spawnSync } from 'node:child_process';
import { closeSync, cpSync, existsSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { knownMachine } from '../support/known-machine.js';
import { type Ended, fiddler, inTurn, start, unwarned } from './fiddler.js';

/** One thread, since two that wait for each other are slow on cores that are busy otherwise. */
const CPU = ['--accelerator', 'none', '--threads', '1'];
const IDS = ['--tokens', '1,17', ...CPU];

afterEach(() => void vi.unstubAllEnvs());

/** Commands of which the model may be the argument. */
const ABOUT_A_MODEL = [
  ...['chat', 'profile', 'bench', 'plan', 'calibrate'].map((name) => [name]),
  ['simulate', '--hardware', 'rtx-6000-ada'],
  ['serve', '--port', '0'],
];
/** Commands that take a model. */
const EVERY = [['run', 'text'], ['score', 'text'], ...ABOUT_A_MODEL];

/** A copy of a small model, to be broken. */
function brokenModel(breakIt: (dir: string) => void): string {
  const dir = temporaryFolder();
  cpSync('test/golden/mixtral', dir, { recursive: true });
  breakIt(dir);
  return dir;
}

function editConfig(dir: string, edit: object): void {
  const file = join(dir, 'config.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...edit }));
}

/** One line that says what is wrong and what to do, and no more. */
function expectRefusal({ code, stdout, stderr }: Ended, exitCode: 1 | 2, message: string | RegExp): void {
  expect(stderr).toMatch(/^fiddler: [^\n]+[;.(] [^\n]+\n$/);
  expect(stderr).toMatch(message);
  expect(stdout).toBe('');
  expect(code, stderr).toBe(exitCode);
}

/** A test for each of these arguments, which are refused. */
function expectRefusals(exitCode: 1 | 2, cases: readonly (readonly [string[], string | RegExp])[]): void {
  let outcomes: Promise<Ended[]> | undefined;
  it.each(cases.map(([args, message], i) => [args, message, i] as const))('fiddler %j', async (_, message, i) => {
    outcomes ??= inTurn(cases.map(([args]) => args));
    expectRefusal((await outcomes)[i]!, exitCode, message);
  });
}

describe('options that make no sense: exit code 2', () => {
  expectRefusals(2, [
    [['rum'], "unknown command 'rum'"],
    [['run', '--sed', '1'], "unknown option '--sed' (Did you mean --seed?)"],
    [['run', 'a', 'b'], 'too many arguments'],
    [['run', '--model'], 'argument missing'],
    [['run', '--temperature', 'NaN'], 'It must be a number of at least 0'],
    [['run', '--temperature', '-1'], 'It must be a number of at least 0'],
    [['run', '--top-p', '1.5'], 'It must be a number above 0, at most 1'],
    [['run', '--max-tokens', '0'], 'It must be an integer of 1 or more'],
    [['run', '--ctx', '1e3'], 'It must be an integer from 1 to 16777216'],
    [['run', '--gpu-memory', '24Gigs'], 'It must be a size such as 24GiB'],
    [['run', '--experts-resident', '120%'], 'It must be a share from 0% to 100%'],
    [['run', '--accelerator', 'abacus'], 'Allowed choices are auto, cuda'],
    [['run', '--policy', 'hope'], /Allowed choices are .*fiddler/],
    [['run', '--dtype', 'f8'], 'Allowed choices are auto, f32'],
    [['run', '--tokens', '1,x'], 'It must be token ids separated by commas'],
    [['simulate'], 'there is nothing to simulate'],
    [['simulate', '--trace', 'a', '--hardware', 'b'], 'cannot be used with'],
    [['serve', '--port', '65536'], 'It must be an integer from 0 to 65535'],
    [['serve', '--drain', 'soon'], 'It must be a time such as 30s or 5m'],
    [['run', 'text', ...IDS], 'both a text and --tokens were given'],
    [['run', 'text', '--logprobs', '2'], '--logprobs has no place in plain text; add --json'],
    [['run', '--model', 'test/golden/mixtral'], 'there is no prompt'],
    [['run', 'text', '--model', 'test/golden/mixtral', ...CPU], 'has no tokenizer'],
    [
      ['run', '--model', 'test/golden/mixtral', '--tokens', '1,320', ...CPU],
      'token 320 is not in the vocabulary of 320',
    ],
    [['run', '', ...CPU, '--model', 'test/golden/mixtral'], 'tokenizer.json'],
    [['score'], 'there is no text'],
    [['chat', 'hello', 'again'], 'too many arguments'],
    ...ABOUT_A_MODEL.map((command): [string[], string] => [
      [...command, 'one', '-m', 'other'],
      'the model was given twice; give it as the argument or as --model',
    ]),
  ]);

  it('in a process of its own', async () => {
    expectRefusal(await fiddler(['run', '--sed', '1']), 2, '--seed');
  });
});

describe('what cannot be done: exit code 1', () => {
  expectRefusals(1, [
    [['run', 'text', '--model', 'nowhere'], 'there is no folder nowhere'],
    [['run', 'text', '--model', 'package.json'], 'does not begin with GGUF'],
    [['run', 'text', '--model', 'src'], 'src/config.json does not exist'],
    [['run', 'a prompt of more than five tokens', '--ctx', '5', ...CPU], 'but the context holds 5'],
    [['score', 'a text of more than five tokens', '--ctx', '5', ...CPU], 'but the context holds 5'],
    ...EVERY.map((command, i): [string[], string] => [
      [...command, ...(i % 2 === 0 || command.length > 1 ? ['-m'] : []), 'nowhere'],
      'there is no folder nowhere',
    ]),
  ]);

  const broken: [string, (dir: string) => void, string | RegExp][] = [
    ['an unsupported architecture', (dir) => editConfig(dir, { model_type: 'gpt9' }), /gpt9.*use a model of.*mixtral/],
    ['a config.json that contradicts the weights', (dir) => editConfig(dir, { hidden_size: 128 }), 'shape'],
    ['a config.json that is no JSON', (dir) => writeFileSync(join(dir, 'config.json'), '{"a": 1,}'), 'not valid JSON'],
    ['a broken tokenizer.json', (dir) => writeFileSync(join(dir, 'tokenizer.json'), '{"model": 1}'), 'tokenizer.json'],
    ['truncated weights', (dir) => truncateSync(join(dir, 'model.safetensors'), 100_000), 'model.safetensors'],
    ['empty weights', (dir) => truncateSync(join(dir, 'model.safetensors'), 0), 'model.safetensors'],
  ];
  it(`a model with ${broken.map(([what]) => what).join(', ')}`, async () => {
    const outcomes = await inTurn(broken.map(([, breakIt]) => ['run', ...IDS, '--model', brokenModel(breakIt)]));
    broken.forEach(([, , message], i) => void expectRefusal(outcomes[i]!, 1, message));
  });

  it('gives a stack trace with --debug only', async () => {
    const { code, stderr } = await fiddler(['run', 'text', '--model', 'nowhere', '--debug']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^fiddler: there is no folder nowhere.*\n(.*\n)*? {4}at /);
  });
});

describe('--help and --version', () => {
  it('of each command', async () => {
    const commands = ['', 'run', 'chat', 'score', 'doctor', 'plan', 'calibrate', 'simulate', 'bench'].map((name) =>
      name === '' ? [] : [name],
    );
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    const outcomes = await inTurn(
      commands.flatMap((command) => [
        [...command, '--help'],
        [...command, '--version'],
      ]),
    );
    commands.forEach((command, i) => {
      const [help, told] = outcomes.slice(2 * i);
      expect(help).toMatchObject({ code: 0, stderr: '' });
      expect(help!.stdout).toContain(`Usage: ${['fiddler', ...command].join(' ')}`);
      expect(help!.stdout).toMatch(/Examples:\n {2}fiddler /);
      expect(told).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' });
    });
  });

  it('prints the defaults', async () => {
    const text = (await fiddler(['run', '--help'])).stdout.replaceAll(/\s+/g, ' ');
    expect(text).toContain('(default: 256)');
    expect(text).toContain("(default: the model's own, up to 4096)");
    expect(text).toContain('(default: 0.7)');
    expect(text).toContain('(default: the bundled mini-mixtral)');
  });

  it('is what fiddler alone prints, to stderr', async () => {
    const { code, stdout, stderr } = await fiddler([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Usage: fiddler');
  });

  it('names every command, whatever else is named', async () => {
    const { stdout } = await fiddler(['--help', 'run']);
    expect(stdout).toMatch(/^ {2}simulate /m);
    expectRefusal(await fiddler(['runn', 'chat']), 2, 'Did you mean run?');
  });
});

describe('output that nobody reads ends a command silently', () => {
  const plan = ['plan', ...CPU];
  it.each([[['chat', '--help']], [['run', '--help']], [['--version']], [['doctor', '--json']], [plan]])(
    '%j',
    async (args) => {
      vi.stubEnv('FIDDLER_CACHE', knownMachine('models/mini-mixtral', { accelerator: 'none', threads: 1 }));
      const { child, ended } = start(args);
      child.stdout.destroy();
      const { code, stderr } = await ended;
      expect({ code, stderr: unwarned(stderr) }).toEqual({ code: 0, stderr: '' });
    },
  );

  it('on standard error too', async () => {
    const { child, ended } = start(['run', ...IDS, '--max-tokens', '1']);
    child.stderr.destroy();
    expect((await ended).code).toBe(0);
  });

  it.runIf(existsSync('/dev/full'))('but says so where it cannot be written', async () => {
    const full = openSync('/dev/full', 'w');
    const child = spawnSync(process.execPath, ['dist/cli/main.js', '--version'], { stdio: ['ignore', full, 'pipe'] });
    closeSync(full);
    expect(child.stderr.toString()).toMatch(/^fiddler: cannot write to standard output: ENOSPC[^\n]*\n$/);
    expect(child.status).toBe(1);
  });
});
