import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatProfile, type Profile } from '../../src/experts/profile.js';
import {
  learnProfile,
  profileFile,
  readProfile,
  recallProfile,
  storeProfile,
  writeProfile,
} from '../../src/experts/profile-store.js';
import type { ExpertsSpec } from '../../src/experts/spec.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';

const layers = [2, 3].map((count) => ({ count, chosen: 1 }) as ExpertsSpec);
const PRINT = '0123456789abcdef';
const one: Profile = {
  model: 'm',
  fingerprint: PRINT,
  tokens: 6,
  counts: [
    [1, 5],
    [2, 2, 2],
  ],
};
const twice: Profile = {
  ...one,
  tokens: 12,
  counts: [
    [2, 10],
    [4, 4, 4],
  ],
};

function recall(folder: string) {
  const warnings: string[] = [];
  return { profile: recallProfile(PRINT, layers, (line) => warnings.push(line), folder), warnings };
}

describe('stored profiles', () => {
  it('are recalled as they were stored, a later one in place of an earlier', () => {
    const folder = join(temporaryFolder(), 'not', 'there', 'yet');
    expect(recall(folder)).toEqual({ profile: undefined, warnings: [] });
    expect(storeProfile(twice, folder)).toBe(profileFile(PRINT, folder));
    storeProfile(one, folder);
    expect(recall(folder)).toEqual({ profile: one, warnings: [] });
    expect(readdirSync(join(folder, 'profiles')), 'nothing else is left').toEqual([`${PRINT}.json`]);
  });

  it('learn what is added to them', () => {
    const folder = temporaryFolder();
    learnProfile(one, layers, folder);
    expect(recall(folder).profile).toEqual(one);
    learnProfile(one, layers, folder);
    expect(recall(folder).profile).toEqual(twice);
  });

  it.each([
    ['broken', 'broken'],
    ['empty', ''],
    ['of another shape', formatProfile({ ...one, counts: [[1, 5]] })],
    ['of another model', formatProfile({ ...one, fingerprint: 'f'.repeat(16) })],
  ])('that are %s are ignored with one warning, and replaced by what is learnt', (_, text) => {
    const folder = temporaryFolder();
    storeProfile(one, folder);
    writeFileSync(profileFile(PRINT, folder), text);
    const { profile, warnings } = recall(folder);
    expect(profile).toBeUndefined();
    expect(warnings).toEqual([expect.stringMatching(/^the stored profile .* is damaged .*[^\n]$/)]);
    learnProfile(one, layers, folder);
    expect(recall(folder)).toEqual({ profile: one, warnings: [] });
  });

  it('lose nothing when several processes learn at once', async () => {
    const folder = temporaryFolder();
    const script = `
      import { learnProfile } from '${join(process.cwd(), 'dist/experts/profile-store.js')}';
      const [layers, one, folder] = ${JSON.stringify([layers, one, folder])};
      for (let i = 0; i < 20; i++) learnProfile(one, layers, folder);`;
    const processes = Array.from({ length: 4 }, () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
      return new Promise((resolve) => child.on('close', resolve));
    });
    expect(await Promise.all(processes)).toEqual([0, 0, 0, 0]);
    const { tokens, counts } = recall(folder).profile!;
    expect(tokens).toBe(80 * 6);
    expect(counts).toEqual(one.counts.map((layer) => Array.from(layer, (n) => 80 * n)));
  });

  it('do not wait for a process that died while it wrote', () => {
    const folder = temporaryFolder();
    const lock = `${profileFile(PRINT, folder)}.lock.${process.pid}.0a`;
    mkdirSync(dirname(lock), { recursive: true });
    writeFileSync(lock, '');
    utimesSync(lock, new Date(), new Date(Date.now() - 60_000));
    learnProfile(one, layers, folder);
    expect(recall(folder).profile).toEqual(one);
    expect(existsSync(lock)).toBe(false);
  });

  it('cost nothing but themselves where the folder cannot be written', () => {
    const folder = join(temporaryFolder(), 'file');
    writeFileSync(folder, '');
    expect(() => learnProfile(one, layers, folder)).not.toThrow();
    expect(fiddlerError('file', () => storeProfile(one, folder))).toContain('cannot write');
  });
});

describe('profiles in files that somebody names', () => {
  it('are read as they were written', () => {
    const file = join(temporaryFolder(), 'p.json');
    writeProfile(file, one);
    expect(readProfile(file)).toEqual(one);
    expect(readFileSync(file, 'utf8')).toMatch(/\n$/);
  });

  it('are refused where they are none, or not there', () => {
    const folder = temporaryFolder();
    const file = join(folder, 'p.json');
    expect(fiddlerError('file', () => readProfile(file))).toContain('cannot be read');
    expect(fiddlerError('file', () => readProfile(folder))).toContain('cannot be read');
    writeFileSync(file, '{"counts": []}');
    expect(fiddlerError('file', () => readProfile(file))).toContain('no profile');
    expect(fiddlerError('file', () => writeProfile(join(folder, 'no', 'p.json'), one))).toContain('cannot write');
  });
});
