import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { Session } from '../../src/engine/session.js';
import { Experts } from '../../src/experts/experts.js';
import { policyNamed } from '../../src/experts/policies/index.js';
import type { Costs } from '../../src/experts/policy.js';
import { writeProfile } from '../../src/experts/profile-store.js';
import type { LoadOptions } from '../../src/options.js';
import type { Report } from '../../src/report.js';
import { temporaryFolder } from '../support/folder.js';

/** With these, `lanes` and `fiddler` use more than one lane. */
const COSTS: Costs = {
  calls: { resident: 0, streamed: 0, cpu: 0 },
  cpu: () => 100,
  copy: 80,
  accelerator: () => 1,
  overlap: true,
  contention: { cpu: 1, copy: 1 },
};
/** With these, an exchange pays soon, and a hit saves a small part of a call. */
const SMALL: Costs = { ...COSTS, cpu: () => 0.1, copy: 0.08, accelerator: () => 0.001 };
const never = () => false;

/** Ids that differ from prompt to prompt; every model here has more than these. */
function prompts(count: number): number[][] {
  return Array.from({ length: count }, (_, p) => Array.from({ length: 8 }, (_, i) => 3 + ((p * 131 + i * 37) % 250)));
}

/** Continues each prompt by a few tokens, each computed alone. */
function continueAll(session: Session, count: number) {
  const tokens: number[] = [];
  const reports: Report[] = [];
  for (const prompt of prompts(count)) {
    const options = { temperature: 0, maxTokens: 12 };
    reports.push(session.generate(prompt, options, (token) => tokens.push(token) < 0, never));
  }
  return { tokens, reports };
}

/** A profile that is as wrong as can be: of what the prompts choose, turned round. */
function wrongProfile(model: string, options: LoadOptions, count: number): string {
  const session = loadEngine(model, options);
  const right = session.profile(prompts(count), () => {}, never)!;
  session.close();
  const most = Math.max(...right.counts.flatMap((layer) => Array.from(layer)));
  const counts = right.counts.map((layer) => Array.from(layer, (n) => Math.ceil((most - n) / 8)));
  const file = join(temporaryFolder(), 'wrong.json');
  writeProfile(file, { ...right, tokens: Math.ceil(right.tokens / 8), counts });
  return file;
}

/** Generates with and without rebalancing, from a placement that begins wrong; both must give the same tokens. */
export function expectSameTokens(model: string, options: LoadOptions, count = 30): void {
  const profile = wrongProfile(model, options, count);
  const run = (rebalance: boolean) => {
    const session = loadEngine(model, { ...options, profile, rebalance });
    session.use(policyNamed(options.policy ?? 'lanes'), SMALL);
    const [first, again] = [continueAll(session, count), continueAll(session, count)];
    session.close();
    const sum = (of: (experts: Report['experts']) => number) =>
      [...first.reports, ...again.reports].reduce((total, { experts }) => total + of(experts), 0);
    const found = { exchanged: sum((e) => e.exchanged), hits: sum((e) => e.hitRate) };
    return { tokens: [...first.tokens, ...again.tokens], ...found, info: session.info };
  };
  const [without, rebalanced] = [run(false), run(true)];
  expect(without.tokens.length).toBeGreaterThan(2 * count);
  expect(rebalanced.tokens).toEqual(without.tokens);
  expect(without.exchanged).toBe(0);
  expect(rebalanced.exchanged).toBeGreaterThan(1);
  expect(rebalanced.hits).toBeGreaterThan(without.hits);
  expect(rebalanced.info).toEqual({ ...without.info, loadSeconds: rebalanced.info.loadSeconds });
}

/** Exchanges experts at random between prompts, so that some come back to another place; all tokens must stay the same. */
export function expectSameTokensWherever(model: string, options: LoadOptions, count = 12): void {
  let experts: Experts | undefined;
  const { run } = Experts.prototype;
  const spy = vi.spyOn(Experts.prototype, 'run').mockImplementation(function (this: Experts, routes) {
    experts = this;
    run.call(this, routes);
  });
  const session = loadEngine(model, { ...options, profile: false });
  session.use(policyNamed(options.policy ?? 'lanes'), COSTS);
  const expected = continueAll(session, 4).tokens;
  const layers = experts!.statistics.popularity;
  const random = seeded(7);
  const pick = (from: readonly number[]) => from[Math.floor(random() * from.length)]!;
  for (let i = 0; i < count; i++) {
    for (const [layer, { length }] of layers.entries()) {
      const all = [...Array(length).keys()];
      const evicted = pick(all.filter((e) => experts!.resident.has(layer, e)));
      const admitted = pick(all.filter((e) => !experts!.resident.has(layer, e)));
      experts!.exchanges.run({ layer, evicted, admitted });
      expect([experts!.resident.has(layer, evicted), experts!.resident.has(layer, admitted)]).toEqual([false, true]);
    }
    expect(continueAll(session, 4).tokens, `after ${i + 1} exchanges a layer`).toEqual(expected);
  }
  session.close();
  spy.mockRestore();
}

/** The generator of C's standard, section 7.22.2: from 0 to below 1. */
function seeded(state: number): () => number {
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
}
