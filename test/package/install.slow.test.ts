import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** ggml's libraries, which are installed beside the package, need as new a glibc. */
const GLIBC = 2.34;
const MODEL = /^models\/mini-mixtral\/(README\.md|config\.json|model.*|tokenizer\.json)$/;
const NATIVE = /^native\/(build\.mjs|include\/.*\.h|src\/.*\.(cpp|h|map)|build\/libfiddler-experts\.so)$/;
const COMPILED = /^dist\/(?!bench\/|test\/).*\.(js|d\.ts)$/;
const TOP = /^(package\.json|README\.md|LICENSE|THIRD-PARTY\.md)$/;

const folder = mkdtempSync(join(tmpdir(), 'fiddler-package-'));
let packed: string[];
/** An empty folder into which the package was installed, and a PATH without a compiler. */
let home: string;
let env: NodeJS.ProcessEnv;

/** What a program at the user's place writes to stdout. */
const run = (program: string, ...args: string[]) =>
  execFileSync(program, args, { cwd: home, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

beforeAll(() => {
  const answer = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], { encoding: 'utf8' });
  const [{ filename, files }] = JSON.parse(answer.slice(answer.indexOf('[\n')));
  packed = files.map(({ path }: { path: string }) => path);
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const node = realpathSync(process.execPath);
  for (const name of ['node', 'npm']) symlinkSync(join(dirname(node), name), join(bin, name));
  symlinkSync('/bin/sh', join(bin, 'sh'));
  home = join(folder, 'home');
  mkdirSync(home);
  env = { ...process.env, PATH: bin, FIDDLER_CACHE: join(folder, 'cache'), NODE_ENV: '' };
  run('npm', 'install', '--no-audit', '--no-fund', join(folder, filename));
}, 900_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the package, installed without a compiler', () => {
  it('holds what runs, the model and licences, and nothing else', () => {
    const known = [MODEL, NATIVE, COMPILED, TOP];
    expect(packed.filter((path) => !known.some((of) => of.test(path)))).toEqual([]);
    for (const of of known) expect(packed.some((path) => of.test(path))).toBe(true);
    expect(packed).toContain('native/build/libfiddler-experts.so');
    expect(packed).toContain('THIRD-PARTY.md');
  });

  it('needs no C++ runtime, and no newer glibc than ggml does', () => {
    const library = join(home, 'node_modules/fiddler-moe/native/build/libfiddler-experts.so');
    const headers = execFileSync('objdump', ['-p', library], { encoding: 'utf8' });
    expect([...headers.matchAll(/NEEDED +(\S+)\.so/g)].map(([, name]) => name)).not.toContain('libstdc++');
    const versions = [...headers.matchAll(/ GLIBC_2\.(\d+)/g)].map(([, minor]) => 2 + Number(minor) / 100);
    expect(Math.max(...versions)).toBeGreaterThan(2);
    expect(Math.max(...versions)).toBeLessThanOrEqual(GLIBC);
  });

  it('has native kernels, which doctor names', () => {
    const [best] = JSON.parse(run('node_modules/.bin/fiddler', 'doctor', '--json')).cpu.kernels;
    expect(best).toMatch(/^\w/);
    expect(run('node_modules/.bin/fiddler', 'doctor')).toMatch(new RegExp(`experts beside a GPU .* by ${best}\n`));
  });

  it('computes by them, and tells its story', () => {
    const short = ['run', '--max-tokens', '20', '--seed', '1'];
    const story = run('node_modules/.bin/fiddler', ...short);
    expect(story).toMatch(/^Once upon a time.{40,}/s);
    const native = ['--accelerator', 'host', '--experts-resident', '0%', '--cpu-kernels', 'native'];
    expect(run('node_modules/.bin/fiddler', ...short, ...native)).toMatch(/^Once upon a time.{40,}/s);
  });

  it('runs the example of its README', () => {
    const readme = readFileSync(join(home, 'node_modules/fiddler-moe/README.md'), 'utf8');
    const [, example] = /```ts\n(.*?)```/s.exec(readme)!;
    writeFileSync(join(home, 'example.mjs'), example!);
    expect(run('node', 'example.mjs').length).toBeGreaterThan(100);
  });
});
