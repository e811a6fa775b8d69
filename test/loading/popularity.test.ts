import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadEngine, loadSource } from '../../src/engine/load.js';
import { hitRates } from '../../src/experts/hit-rates.js';
import type { Profile } from '../../src/experts/profile.js';
import { profileFile, storeProfile, writeProfile } from '../../src/experts/profile-store.js';
import { folderProfile, storedProfile } from '../../src/loading/popularity.js';
import { folderSource } from '../../src/loading/source.js';
import { syntheticSource } from '../../src/loading/synthetic.js';
import type { LoadOptions } from '../../src/options.js';
import { loadTokenizer } from '../../src/text/tokenizer.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { changedModel } from '../support/model.js';
import { GOLDEN_TEXTS, TALE_FILE } from '../support/tales.js';

const MODEL = 'models/mini-mixtral';
const HOST = { accelerator: 'host', expertsResident: 0.25, ctx: 256, threads: 1 } as const;
const never = () => false;

const encode = (text: string) => loadTokenizer(MODEL)!.encode(text, { addSpecial: true });
const golden = GOLDEN_TEXTS.map(encode);
const tale = encode(readFileSync(TALE_FILE, 'utf8'));

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
  vi.stubEnv('FIDDLER_CACHE', folder);
});
afterEach(() => void vi.unstubAllEnvs());

/** The profile of some texts; nothing is stored. */
function profileTexts(texts: readonly (readonly number[])[], options: LoadOptions = {}): Profile {
  const session = loadEngine(MODEL, { accelerator: 'none', threads: 1, ctx: 256, profile: false, ...options });
  const done: number[] = [];
  const profile = session.profile(texts, (tokens) => done.push(tokens), never)!;
  session.close();
  expect(done.at(-1)).toBe(texts.flat().length);
  return profile;
}

/** Decodes a text token after token and gives the share of executions whose expert was resident. */
function decodedHitRate(ids: readonly number[], options: LoadOptions) {
  const session = loadEngine(MODEL, { ...HOST, policy: 'static', ctx: 1024, ...options });
  session.resetStatistics();
  ids.forEach((id, past) => void session.step([id], past));
  const { resident, streamed, cpu } = session.lanes;
  const { experts } = session.info;
  session.close();
  return { ...experts, hitRate: resident.experts / (resident.experts + streamed.experts + cpu.experts) };
}

describe('a profile of texts', () => {
  it('has every choice of every token, however long the text is', () => {
    const { tokens, counts, model } = profileTexts([tale]);
    expect({ tokens, model }).toEqual({ tokens: tale.length, model: 'mini-mixtral' });
    expect(tale.length, 'more than the context holds').toBeGreaterThan(256);
    for (const layer of counts) expect(Array.from(layer).reduce((a, b) => a + b, 0)).toBe(2 * tale.length);
  });

  it('is that of each text alone, added up', () => {
    const [a, b] = [golden[0]!, golden[1]!];
    const both = profileTexts([a, b]);
    const [first, second] = [profileTexts([a]), profileTexts([b])];
    both.counts.forEach((layer, l) => {
      expect(layer).toEqual(Array.from(first.counts[l]!, (n, e) => n + second.counts[l]![e]!));
    });
  });

  it('needs tokens of the vocabulary, and some', () => {
    expect(fiddlerError('usage', () => profileTexts([]))).toContain('no tokens');
    expect(fiddlerError('usage', () => profileTexts([[]]))).toContain('no tokens');
    expect(fiddlerError('usage', () => profileTexts([[1, 99999]]))).toContain('99999');
  });
});

describe('experts placed by the profile of the golden texts', () => {
  let profile: Profile;
  beforeAll(() => {
    profile = profileTexts(golden);
  });

  it('are hit more often on held-out text, as often as the counts say', () => {
    const rates = hitRates(12, profile.counts, profileTexts([tale], { ctx: 1024 }).counts);
    const file = join(folder, 'golden.json');
    writeProfile(file, profile);
    const without = decodedHitRate(tale, { profile: false });
    const placed = decodedHitRate(tale, { profile: file });
    console.log(`hit rate on held-out text at 25%: ${JSON.stringify({ ...rates, measured: placed.hitRate })}`);
    expect(without).toMatchObject({ resident: 12, total: 48, profiled: 0 });
    expect(placed).toMatchObject({ resident: 12, total: 48, profiled: profile.tokens });
    expect(placed.hitRate).toBeGreaterThan(without.hitRate + 0.02);
    expect(rates.worst).toBeLessThan(rates.spread);
    expect(rates.best).toBeGreaterThanOrEqual(rates.profiled);
    // A prefill in bf16 may choose otherwise where two experts are nearly equal.
    expect(placed.hitRate).toBeCloseTo(rates.profiled, 2);
    expect(without.hitRate).toBeCloseTo(rates.spread, 2);
  });

  it('are those of the stored profile unless told otherwise', () => {
    storeProfile(profile);
    const stored = decodedHitRate(golden[0]!, {});
    expect(stored.profiled).toBe(profile.tokens);
    expect(stored.hitRate).toBeGreaterThan(decodedHitRate(golden[0]!, { profile: false }).hitRate);
    expect(folderProfile(MODEL, {})).toEqual(profile);
    expect(folderProfile('test/golden/mixtral', {}), 'another model').toBeUndefined();
  });

  it('are as without one where the stored one is damaged, with one warning', () => {
    writeFileSync(storeProfile(profile), 'not a profile');
    const warnings: string[] = [];
    expect(decodedHitRate([5], { onWarning: (line) => warnings.push(line) }).profiled).toBe(0);
    expect(warnings).toEqual([expect.stringContaining('damaged')]);
  });

  it('are of this model', () => {
    const file = join(folder, 'golden.json');
    writeProfile(file, profile);
    const message = fiddlerError('file', () => loadEngine('test/golden/mixtral', { profile: file }));
    expect(message).toMatch(/mini-mixtral with 6 layers of 8 experts; mixtral has 2 layers of 8 experts/);
    expect(fiddlerError('file', () => loadEngine(MODEL, { profile: join(folder, 'none.json') }))).toContain(
      'none.json',
    );
  });

  it('may be of a model of the same shape, with a warning', () => {
    const session = loadEngine('test/golden/mixtral', { accelerator: 'none', threads: 1, profile: false });
    const file = join(folder, 'mixtral.json');
    writeProfile(file, session.profile([[1, 2, 3]], () => {}, never)!);
    session.close();
    const other = folderSource(changedModel({ config: { rope_theta: 5 } }));
    const warnings: string[] = [];
    const layers = [8, 8].map((count) => ({ count, chosen: 2, hidden: 64, width: 64 }) as never);
    expect(storedProfile(other, layers, { profile: file, onWarning: (line) => warnings.push(line) })?.tokens).toBe(3);
    expect(warnings).toEqual([expect.stringContaining('another')]);
  });
});

describe('learning', () => {
  const run = (options: LoadOptions) => {
    const session = loadEngine(MODEL, { ...HOST, ...options });
    session.generate([1, 17, 42], { maxTokens: 8, temperature: 0 }, () => false, never);
    session.close();
    return folderProfile(MODEL, {})?.tokens;
  };

  it('adds what was chosen to the stored profile when the model is closed, where it is asked for', () => {
    expect(run({})).toBeUndefined();
    expect(run({ learn: true })).toBe(10); // the last token is not computed
    expect(run({ learn: true })).toBe(20);
    expect(run({ learn: false })).toBe(20);
    expect(run({ learn: true, profile: false }), 'placed without').toBe(30);
  });

  it('has nothing to add where nothing was computed', () => {
    loadEngine(MODEL, { ...HOST, learn: true }).close();
    expect(folderProfile(MODEL, {})).toBeUndefined();
  });

  it('neither reads nor writes anything of a synthetic model', () => {
    const source = { ...folderSource(MODEL), synthetic: true } as const;
    storeProfile(profileTexts(golden));
    expect(storedProfile(syntheticSource('mixtral-8x7b'), [], {})).toBeUndefined();
    const session = loadSource(source, { ...HOST, learn: true });
    expect(session.info.experts.profiled).toBe(0);
    session.generate([1, 17, 42], { maxTokens: 2 }, () => false, never);
    session.close();
    expect(folderProfile(MODEL, {})?.tokens).toBe(golden.flat().length);
  });

  it('costs nothing where the folder cannot be written', () => {
    writeFileSync(join(folder, 'profiles'), '');
    expect(run({ learn: true })).toBeUndefined();
    expect(profileFile('x')).toContain(folder);
  });
});
