import { Ajv } from 'ajv';
import fc from 'fast-check';
import { expect } from 'vitest';
import { Grammars } from '../../../src/text/grammar/grammars.js';
import { json, type Outline } from '../../../src/text/grammar/outline.js';
import { MaskReader } from '../../../src/text/grammar/reader.js';
import type { Schema } from '../../../src/text/grammar/schema.js';
import { loadTokenizer, type Tokenizer } from '../../../src/text/tokenizer.js';
import { numbersFrom } from '../../support/numbers.js';
import { schemas } from './schemas.js';

const WORKER = new URL('../../../dist/text/grammar/worker.js', import.meta.url);

/** Masks for a model's folder; `vocabulary` logits. */
export function grammarsOf(dir: string, vocabulary: number, ends: readonly number[]): Grammars {
  return new Grammars({ dir, vocabulary, ends }, WORKER);
}

/** What an answer is held to. */
export interface Held {
  outline: Outline;
  marks?: readonly string[];
}

/** The text of {@link sampledTokens}. */
export async function sampledAnswer(
  ...[grammars, held, sampling]: Parameters<typeof sampledTokens>
): Promise<string | undefined> {
  const ids = await sampledTokens(grammars, held, sampling);
  return ids && sampling.tokenizer.decode(ids);
}

/** An answer of random tokens among those that the mask allows; undefined where it is not whole after `most`. */
export async function sampledTokens(
  grammars: Grammars,
  held: Held,
  { tokenizer, end, random, most, vocabulary = 4096, phrases = [] }: Sampling,
): Promise<number[] | undefined> {
  const constraint = await grammars.constrain(held.outline, held);
  const reader = new MaskReader(constraint, undefined, new Set([end]));
  const closing = closingOf(tokenizer);
  const ids: number[] = [];
  /** What is to come of a phrase. */
  let planned: number[] = [];
  try {
    for (let i = 0; i < most; i++) {
      const mask = reader.next()!;
      const allows = (id: number) => ((mask[id >> 5]! >>> (id & 31)) & 1) === 1;
      const allowed: number[] = [];
      for (let id = 0; id < vocabulary; id++) if (allows(id)) allowed.push(id);
      if (allowed.length === 0) throw new Error(`nothing may follow ${tokenizer.decode(ids)}`);
      // Where an answer may end it mostly does, and what closes is likelier than chance has it.
      if (allows(end) && random() < 0.8) return ids;
      if (planned.length === 0 && phrases.length > 0 && random() < 0.3) {
        planned = [...phrases[Math.floor(random() * phrases.length)]!];
      }
      const next = planned.shift();
      const closers = allowed.filter((id) => closing.has(id));
      const from = closers.length > 0 && random() < 0.4 ? closers : allowed;
      const id = next !== undefined && allows(next) ? next : from[Math.floor(random() * from.length)]!;
      if (id !== next) planned = [];
      if (id === end) return ids;
      ids.push(id);
      reader.take(id);
    }
    return undefined;
  } finally {
    reader.end();
    grammars.release(constraint);
  }
}

interface Sampling {
  tokenizer: Tokenizer;
  end: number;
  random: () => number;
  most: number;
  /** Logits; behind them a mask has bits that mean nothing. */
  vocabulary?: number;
  /** Tokens that are written one behind the other now and then. */
  phrases?: readonly (readonly number[])[];
}

const closings = new WeakMap<Tokenizer, ReadonlySet<number>>();

/** Tokens with a character that closes something in JSON. */
function closingOf(tokenizer: Tokenizer): ReadonlySet<number> {
  const known = closings.get(tokenizer);
  if (known) return known;
  const all = Array.from({ length: 5000 }, (_, id) => id);
  const found = new Set(all.filter((id) => /["}\]]/.test(tokenizer.piece(id) ?? '')));
  closings.set(tokenizer, found);
  return found;
}

const ajv = new Ajv({ strict: false });

/** What is wrong with an answer; undefined where it fits. */
function misfit(schema: Schema, text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `${(error as Error).message}: ${text}`;
  }
  return ajv.validate(schema, value) ? undefined : `${ajv.errorsText()}: ${text}`;
}

/** The bundled model's tokenizer, the token that ends its answers, and masks for it. */
export function bundled(): { tokenizer: Tokenizer; end: number; grammars: Grammars } {
  const dir = 'models/mini-mixtral';
  const tokenizer = loadTokenizer(dir)!;
  const end = tokenizer.id('</s>')!;
  return { tokenizer, end, grammars: grammarsOf(dir, 4096, [end]) };
}

/** Answers to random schemas fit them, whatever tokens are chosen. @returns how many of them were whole */
export async function checkAnswers(
  { tokenizer, end, grammars }: ReturnType<typeof bundled>,
  numRuns: number,
): Promise<number> {
  let whole = 0;
  await fc.assert(
    fc.asyncProperty(schemas, fc.integer(), async (schema, seed) => {
      const text = await sampledAnswer(
        grammars,
        { outline: json(schema) },
        { tokenizer, end, random: numbersFrom(seed), most: 300 },
      );
      if (text === undefined) return;
      whole++;
      expect(misfit(schema, text)).toBeUndefined();
    }),
    { numRuns },
  );
  return whole;
}
