import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readGolden } from '../../bench/golden-data.js';
import { loadEngine } from '../../src/engine/load.js';
import type { Session } from '../../src/engine/session.js';
import type { JsonObject } from '../../src/weights/config.js';
import { temporaryFolder } from '../support/folder.js';

const ORIGINAL = 32;
const golden = readGolden('test/golden', 'models', 'phimoe-longrope-long');
const { tokens, logits: expected } = golden.cases[0]!;

/** The model with a config as published: what the expected values were computed with holds beyond the original context. */
function published(): string {
  const dir = temporaryFolder();
  cpSync(golden.dir, dir, { recursive: true });
  const { rope_parameters, ...config } = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as JsonObject;
  const { rope_type, rope_theta, short_factor, ...rest } = rope_parameters as Record<string, unknown>;
  const ones = new Array((short_factor as number[]).length).fill(1);
  const rope_scaling = { ...rest, type: rope_type, short_factor: ones, long_factor: short_factor };
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, rope_theta, rope_scaling }));
  return dir;
}

function open(): Session {
  const session = loadEngine(published(), { accelerator: 'none', dtype: 'f32', ctx: 128, threads: 1 });
  onTestFinished(() => session.close());
  return session;
}

const never = () => false;
const greedy = (session: Session, prompt: readonly number[], maxTokens: number) => {
  const generated: number[] = [];
  const report = session.generate(prompt, { temperature: 0, maxTokens }, (t) => generated.push(t) < 0, never);
  return { generated, report };
};

function logitsOf(session: Session, sequence: readonly number[]): Float32Array[] {
  const all: Float32Array[] = [];
  session.evaluate(sequence, never, (_, logits) => all.push(logits.slice()));
  return all;
}

const largest = (ours: readonly Float32Array[]) =>
  Math.max(...ours.flatMap((row, t) => [...row].map((x, i) => Math.abs(x - expected[t * row.length + i]!))));

describe('LongRoPE', () => {
  it('computes a sequence beyond the original context with the second factors, from its first token on', () => {
    const session = open();
    expect(largest(logitsOf(session, tokens))).toBeLessThan(1e-3);
    expect(largest(logitsOf(session, tokens.slice(0, ORIGINAL + 1)))).toBeLessThan(1e-3);
  });

  it('computes one within it with the first', () => {
    const session = open();
    expect(largest(logitsOf(session, tokens.slice(0, ORIGINAL)))).toBeGreaterThan(0.1);
  });

  it('computes the whole sequence anew when it grows beyond', () => {
    const session = open();
    const prompt = tokens.slice(0, ORIGINAL - 4);
    const { generated } = greedy(session, prompt, 12);
    for (let n = 1; n < generated.length; n++) {
      const sequence = [...prompt, ...generated.slice(0, n)];
      const last = logitsOf(session, sequence).at(-1)!;
      expect(last.indexOf(Math.max(...last)), `token ${n}`).toBe(generated[n]);
    }
  });

  it('uses no cached keys of the other factors', () => {
    const session = open();
    const long = greedy(session, tokens, 4).generated;
    greedy(session, tokens.slice(0, 20), 1);
    const again = greedy(session, tokens, 4);
    expect(again.generated).toEqual(long);
    expect(again.report.cachedTokens).toBe(0);
    expect(greedy(session, tokens, 4).report.cachedTokens).toBe(tokens.length - 1);
  });
});
