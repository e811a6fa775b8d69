import fc from 'fast-check';
import { expect } from 'vitest';
import { EVEN } from '../../bench/even-costs.js';
import { loadEngine } from '../../src/engine/load.js';
import type { Workbench } from '../../src/engine/workbench.js';
import { policyNamed } from '../../src/experts/policies/index.js';
import type { LoadOptions } from '../../src/options.js';
import type { Report } from '../../src/report.js';
import { RECURRENT } from './recurrent.js';

const POLICIES = ['static', 'fiddler', 'stream', 'lru', 'lanes'] as const;
/** Most tokens of an answer. */
const MOST = 6;

interface Request {
  /** Calls of the model before it arrives. */
  at: number;
  prompt: readonly number[];
  maxTokens: number;
  /** Calls behind which it is cancelled, if any. */
  cancelledAt?: number;
}

interface Answered {
  tokens: number[];
  /** Log-probabilities of the likeliest tokens at each step. */
  likeliest: number[];
  report?: Report;
  error?: unknown;
}

/** Begins a request; what it gives is in the result once it has ended. */
function begin(session: Workbench, { prompt, maxTokens }: Request, cancelled: () => boolean): Answered {
  const answered: Answered = { tokens: [], likeliest: [] };
  const options = { temperature: 0, maxTokens, logprobs: 1, ignoreEnd: true };
  const onToken = (token: number, top?: { logprob: number }[]) => {
    answered.likeliest.push(top![0]!.logprob);
    return answered.tokens.push(token) < 0;
  };
  session.begin({ prompt, options, onToken, cancelled }, (outcome) => Object.assign(answered, outcome));
  return answered;
}

/** Requests as they arrive, one call of the model after the other, until all have ended. */
function together(session: Workbench, requests: readonly Request[]): Answered[] {
  const found: Answered[] = [];
  let [begun, calls] = [0, 0];
  const sorted = [...requests.keys()].sort((a, b) => requests[a]!.at - requests[b]!.at);
  for (let more = true; more || begun < requests.length; calls++) {
    for (; begun < sorted.length && requests[sorted[begun]!]!.at <= calls; begun++) {
      const request = requests[sorted[begun]!]!;
      found[sorted[begun]!] = begin(session, request, () => calls >= (request.cancelledAt ?? Infinity));
    }
    more = session.advance();
  }
  return found;
}

/** What each prompt gives alone, computed from its first token on. */
class Alone {
  private readonly known = new Map<string, Answered>();

  constructor(private readonly session: Workbench) {}

  of(prompt: readonly number[]): Answered {
    const key = prompt.join();
    const known = this.known.get(key) ?? this.compute(prompt);
    this.known.set(key, known);
    return known;
  }

  private compute(prompt: readonly number[]): Answered {
    this.session.forgetSequences();
    return together(this.session, [{ at: 0, prompt, maxTokens: MOST }])[0]!;
  }
}

export interface BatchingCase {
  accelerator: 'none' | 'host' | 'vulkan';
  /** A folder of a model. */
  model: string;
  runs: number;
  options?: LoadOptions;
  /** Other options of the session that computes each alone. */
  alone?: LoadOptions;
  /** Longest own part of a prompt. */
  longest?: number;
  /** Tokens with which several prompts begin. */
  shared?: number;
}

/**
 * Largest difference of log-probabilities. A state sums up over all positions, in another order where a text is divided
 * otherwise: in float32 that is up to 7e-5 from the reference, and may be as much from itself.
 */
function toleranceOf(model: string): number {
  return RECURRENT.some((name) => model.endsWith(`/${name}`)) ? 1e-4 : 1e-5;
}

/** Every sequence gives what it gives alone, whatever else is computed with it. */
export function sameAsAlone({
  accelerator,
  model,
  runs,
  options,
  alone: other,
  longest = 40,
  shared: common = 21,
}: BatchingCase): void {
  const shared: LoadOptions = {
    accelerator,
    dtype: 'f32',
    ctx: 128,
    expertsResident: 0.5,
    expertCache: 100_000,
    threads: 1,
    profile: false,
    policy: accelerator === 'none' ? undefined : 'stream', // costs are set here: measuring them takes longer than the rest
    ...options,
  };
  const single = loadEngine(model, { ...shared, ...other });
  const sessions = [2, 4, 9].map((sequences) => loadEngine(model, { ...shared, sequences }));
  const alone = new Alone(single);
  const { vocabulary } = single.info;
  const token = fc.integer({ min: 3, max: Math.min(vocabulary, 300) - 1 });
  const beginnings = Array.from({ length: 3 }, (_, i) =>
    Array.from({ length: common }, (_, t) => 3 + ((7 * t + i) % 200)),
  );
  const prompts = fc
    .tuple(fc.constantFrom([], ...beginnings), fc.array(token, { minLength: 1, maxLength: longest }))
    .map(([beginning, own]) => [...beginning, ...own]);
  const request = fc.record({
    at: fc.nat(8),
    prompt: prompts,
    maxTokens: fc.integer({ min: 1, max: MOST }),
    cancelledAt: fc.option(fc.nat(14), { nil: undefined, freq: 5 }),
  });
  const schedules = fc.record({
    session: fc.constantFrom(...sessions),
    policy: fc.constantFrom(...POLICIES),
    requests: fc.array(request, { minLength: 1, maxLength: 7 }),
  });
  try {
    fc.assert(
      fc.property(schedules, ({ session, policy, requests }) => {
        session.use(policyNamed(policy), EVEN);
        const found = together(session, requests);
        for (const [i, { tokens, likeliest, report, error }] of found.entries()) {
          const { prompt, maxTokens, cancelledAt } = requests[i]!;
          expect(error).toBeUndefined();
          const expected = alone.of(prompt);
          if (cancelledAt === undefined) expect(tokens).toHaveLength(maxTokens);
          else expect(['aborted', 'length']).toContain(report!.finish);
          expect(tokens).toEqual(expected.tokens.slice(0, tokens.length));
          for (const [t, logprob] of likeliest.entries()) {
            expect(Math.abs(logprob - expected.likeliest[t]!)).toBeLessThan(toleranceOf(model));
          }
        }
      }),
      { numRuns: runs },
    );
  } finally {
    for (const session of [single, ...sessions]) session.close();
  }
}
