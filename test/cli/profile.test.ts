import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { GOLDEN_TEXTS, TALE_FILE } from '../support/tales.js';
import { fiddler, inTurn } from './fiddler.js';

/** One thread, since two that wait for each other are slow on cores that are busy otherwise; and a policy for which nothing is measured. */
const CPU = ['--accelerator', 'none', '--threads', '1', '--policy', 'static'];
const HOST = ['--accelerator', 'host', '--threads', '1', '--policy', 'static', '--experts-resident', '25%'];
const GOLDEN = ['--model', 'test/golden/mixtral', '--tokens'];

let folder: string;
let golden: string;
let ids: string;
beforeEach(() => {
  folder = temporaryFolder();
  vi.stubEnv('FIDDLER_CACHE', join(folder, 'cache'));
  golden = join(folder, 'golden.txt');
  writeFileSync(golden, GOLDEN_TEXTS.join('\n\n'));
  ids = join(folder, 'ids');
  writeFileSync(ids, '1, 17, 42\n99\n7\n');
});
afterEach(() => void vi.unstubAllEnvs());

const profile = (...args: string[]) => fiddler(['profile', ...args, ...CPU]);

describe('fiddler profile', () => {
  it('shows what a text chooses and stores it; run then places by it, and adds what it chose', async () => {
    const { code, stdout, stderr } = await profile('--data', golden);
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'stored: the model is placed by it from now on\n' });
    expect(stdout).toMatch(/^mini-mixtral: experts chosen for \d+ tokens\n/);
    expect(stdout.match(/^ +\d {2}[·░▒▓█]{16} +\d+%$/gm)).toHaveLength(6);
    expect(stdout).not.toContain('\u001b');
    expect(stdout).toMatch(/^ +12 of 48 +2\d\.\d% +3\d\.\d%$/m);

    const tokens = Number(stdout.match(/(\d+) tokens/)![1]);
    const run = (...args: string[]) => fiddler(['run', 'She', '--max-tokens', '5', '--seed', '1', ...HOST, ...args]);
    const by = (count: number) => new RegExp(`^experts +12 of 48 resident by a profile of ${count} tokens, hit`, 'm');
    expect((await run('--no-learn')).stderr).toMatch(by(tokens));
    expect((await run('--rebalance')).stderr).toMatch(by(tokens));
    const learnt = await run();
    const added = Number(learnt.stderr.match(/prefill +(\d+)/)![1]) + 4;
    expect(learnt.stderr).toMatch(by(tokens + added));
    expect((await run('--no-profile')).stderr).toMatch(/^experts +12 of 48 resident, hit/m);
    expect((await profile()).stdout).toContain(`${tokens + 3 * added} tokens`);
  });

  it('prints what it is worth for held-out text', async () => {
    const args = ['--data', golden, '--held-out', TALE_FILE, '--out', join(folder, 'p.json')];
    const { stdout } = await profile(...args);
    const rates = ['without the profile', 'with it', 'best possible', 'worst possible'].map((name) =>
      Number(stdout.match(new RegExp(`^${name} +(\\d+\\.\\d)%$`, 'm'))![1]),
    ) as [number, number, number, number];
    const [without, withIt, best, worst] = rates;
    expect(withIt).toBeGreaterThan(without);
    expect(best).toBeGreaterThanOrEqual(withIt);
    expect(worst).toBeLessThan(without);
    const { heldOut } = JSON.parse((await profile(...args, '--json')).stdout);
    expect([heldOut.spread, heldOut.profiled, heldOut.best, heldOut.worst].map((r) => 100 * r)).toEqual(
      rates.map((r) => expect.closeTo(r, 1)),
    );
    const half = await profile(
      '--profile',
      join(folder, 'p.json'),
      '--held-out',
      TALE_FILE,
      '--experts-resident',
      '50%',
    );
    expect(half.stdout).toContain('24 of 48 experts resident:');
    expect(existsSync(join(folder, 'cache', 'profiles')), '--out stores nothing').toBe(false);
  });

  it('gives JSON, a drawing, and a file that --profile takes', async () => {
    const [out, svg] = [join(folder, 'p.json'), join(folder, 'map.svg')];
    const { code, stdout } = await profile('models/mini-mixtral', '--data', '-', '--json', '--out', out, '--svg', svg);
    expect(code, 'nothing was piped').toBe(2);
    expect(stdout).toBe('');
    const piped = await fiddler(['profile', '--data', '-', '--json', '--out', out, '--svg', svg, ...CPU], 'A story');
    const { counts, residencies, ...rest } = JSON.parse(piped.stdout);
    expect(rest).toEqual({ model: 'mini-mixtral', fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/), tokens: 3 });
    expect(counts.map((layer: number[]) => layer.reduce((a, b) => a + b, 0))).toEqual(new Array(6).fill(6));
    expect(residencies).toHaveLength(4);
    expect(JSON.parse(readFileSync(out, 'utf8'))).toMatchObject({ format: 'fiddler-profile', version: 1, counts });
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg /);
    const shown = await profile('--profile', out);
    expect(shown.stdout).toContain('mini-mixtral: experts chosen for 3 tokens');
    const other = await fiddler(['run', '--tokens', '1,2', '--model', 'test/golden/mixtral', '--profile', out, ...CPU]);
    expect(other).toMatchObject({ code: 1, stdout: '' });
    expect(other.stderr).toMatch(/^fiddler: .*p\.json is a profile of mini-mixtral with 6 layers.*\n$/);
  });

  it('counts over token ids', async () => {
    const { code, stdout } = await profile(...GOLDEN, '--data', ids, ids);
    expect(code).toBe(0);
    expect(stdout).toContain('mixtral: experts chosen for 10 tokens');
  });

  const refused: [string, number, string[]][] = [
    ['no profile of this model is stored', 2, []],
    ['cannot read', 1, ['--data', 'no-such-file']],
    ['there is no text in /dev/null', 2, ['--data', '/dev/null']],
    ['99999 is not in the vocabulary', 2, ['--data', 'ids', '--tokens']],
    ['no tokenizer', 2, ['--data', TALE_FILE, '--model', 'test/golden/mixtral']],
    ['something else than token ids', 1, ['--data', TALE_FILE, '--tokens']],
    ['no folder', 1, ['nowhere']],
    ['given twice', 2, ['nowhere', '--model', 'nowhere']],
    ['cannot be read', 1, ['--profile', 'no-such-file']],
    ['cannot write', 1, ['--data', TALE_FILE, '--out', 'no/such/folder/file']],
    ['cannot write', 1, ['--data', TALE_FILE, '--svg', 'no/such/folder/file']],
  ];
  it(`says in one line: ${refused.map(([problem]) => problem).join(', ')}`, async () => {
    writeFileSync(ids, '1 99999');
    const commands = refused.map(([, , args]) => args.map((arg) => (arg === 'ids' ? ids : arg)));
    const outcomes = await inTurn(commands.map((args) => ['profile', ...args, ...CPU]));
    refused.forEach(([problem, expected], i) => {
      const { code, stdout, stderr } = outcomes[i]!;
      expect({ code, stdout }, problem).toEqual({ code: expected, stdout: '' });
      expect(stderr).toMatch(new RegExp(`^fiddler: .*${problem}.*\n$`));
    });
  });
});
