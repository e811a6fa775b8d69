import { getRandomValues } from 'node:crypto';
import type { GenerateOptions } from '../options.js';
import { Adjustments } from './adjustments.js';
import { Candidates } from './candidates.js';
import { STEP_LIMIT, STEPS } from './exponential.js';
import { Random } from './random.js';

export { checkFinite, logprobOf, logSumExp, topLogprobs } from './logprobs.js';

/** What a generation does where its options say nothing. */
export const GENERATE_DEFAULTS = Object.freeze({
  maxTokens: 256,
  temperature: 0.7,
  topK: 0,
  topP: 0.9,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: Object.freeze({}) as Readonly<Record<number, number>>,
  stop: Object.freeze([]) as readonly string[],
  logprobs: 0,
}) satisfies GenerateOptions;

/** The options that choose a token. */
export type SamplingOptions = Pick<
  GenerateOptions,
  | 'temperature'
  | 'topK'
  | 'topP'
  | 'minP'
  | 'repetitionPenalty'
  | 'presencePenalty'
  | 'frequencyPenalty'
  | 'logitBias'
  | 'seed'
>;

/** Chooses tokens; each draw takes the next numbers of one random sequence. */
export interface Sampler {
  /** The seed in use: the one given, or one drawn at random. */
  readonly seed: number;
  /**
   * Chooses a token.
   * @param logits (vocabulary), checked by `checkFinite`; left as they are
   * @param seen ids of the prompt and of the text so far, for the repetition penalty; an id counts once. The other
   * penalties count what was sampled
   * @param mask a bit for each token that may be chosen, the lowest first
   */
  sample(logits: Float32Array, seen: Iterable<number>, mask?: Int32Array): number;
}

/** What samplers work with, one at a time: for each answer anew it would be megabytes of a large vocabulary. */
export class SamplerMemory {
  #candidates = new Candidates(0);

  candidates(vocabulary: number): Candidates {
    if (this.#candidates.vocabulary !== vocabulary) this.#candidates = new Candidates(vocabulary);
    return this.#candidates;
  }
}

/**
 * A sampler. Steps and order are those of Hugging Face transformers 4 (`_get_logits_processor` in generation/utils.py):
 * bias, penalties, temperature, top-k, top-p, min-p, then a draw from the softmax of what is left. Of equal logits
 * at a limit the lowest ids are kept, so that top-k 1 is greedy; transformers keeps all that equal the k-th.
 * @param options already checked
 * @param memory which others may use between two tokens
 */
export function createSampler(options: SamplingOptions, memory = new SamplerMemory()): Sampler {
  const { temperature = GENERATE_DEFAULTS.temperature, topK = GENERATE_DEFAULTS.topK } = options;
  const { topP = GENERATE_DEFAULTS.topP, minP = GENERATE_DEFAULTS.minP } = options;
  const { seed = randomSeed() } = options;
  const { repetitionPenalty = GENERATE_DEFAULTS.repetitionPenalty, logitBias = GENERATE_DEFAULTS.logitBias } = options;
  const { presencePenalty = GENERATE_DEFAULTS.presencePenalty } = options;
  const { frequencyPenalty = GENERATE_DEFAULTS.frequencyPenalty } = options;
  const adjustments = new Adjustments({ repetitionPenalty, presencePenalty, frequencyPenalty, logitBias });
  const random = Random.fromSeed(seed);
  const limits = { scale: binsPerLogit(temperature), topK, topP, minP };

  function choose(logits: Float32Array, likeliest: number): number {
    if (temperature === 0) return likeliest;
    return draw(memory.candidates(logits.length), logits, logits[likeliest]!);
  }

  function draw(candidates: Candidates, logits: Float32Array, best: number): number {
    if (topK === 0 && topP >= 1 && minP === 0) return drawFromAll(candidates, logits, best);
    truncate(candidates, logits, best, limits);
    return candidates.at(random.nextDouble() * candidates.total());
  }

  /** Draws a bin and then one of its tokens, so that only those are gathered. */
  function drawFromAll(candidates: Candidates, logits: Float32Array, best: number): number {
    const point = random.nextDouble() * candidates.weighBins(logits, best, limits.scale);
    const { bin, before } = candidates.binAt(point);
    candidates.gather(logits, best, limits.scale, bin, bin);
    return candidates.at(point - before);
  }

  return {
    seed,
    sample(logits, seen, mask) {
      const scores = adjustments.apply(logits, seen, mask);
      const token = choose(scores, argmax(scores));
      adjustments.note(token);
      return token;
    },
  };
}

/** Chooses a token by logits such as a model has: for measurements, and before any are known. */
export function madeUpChoice(vocabulary: number): () => void {
  const sampler = createSampler({});
  const logits = Float32Array.from({ length: vocabulary }, (_, i) => -0.05 * (i % 1000));
  return () => void sampler.sample(logits, []);
}

/** What {@link truncate} leaves out; `scale` is `binsPerLogit` of the temperature. */
export interface Limits {
  scale: number;
  topK: number;
  topP: number;
  minP: number;
}

/** Bins in a unit of a logit. Finite, so that temperatures near 0 are greedy: 0 × ∞ would be NaN. */
export function binsPerLogit(temperature: number): number {
  return Math.min(STEPS / temperature, Number.MAX_VALUE);
}

/** Tokens this far below the best, in the exponent, have no weight to speak of, and are mostly not of the k likeliest. */
const NEAR = 24;

/** Leaves in `candidates` what top-k, top-p and min-p, at least one of them in use, leave of `logits`. */
export function truncate(candidates: Candidates, logits: Float32Array, best: number, limits: Limits): void {
  const { scale, topK, topP, minP } = limits;
  if (topK > 0) {
    if (!candidates.gatherNear(logits, best, scale, NEAR) || candidates.count < topK) {
      candidates.countBins(logits, best, scale);
      candidates.gather(logits, best, scale, 0, candidates.binAt(topK).bin);
    }
    candidates.keepCount(topK);
    if (topP < 1) candidates.keepMass(topP * candidates.total());
  } else if (topP < 1) {
    const near = candidates.gatherNear(logits, best, scale, NEAR);
    if (!near || !candidates.keepShare(topP, logits.length * Math.exp(-NEAR))) {
      const goal = topP * candidates.weighBins(logits, best, scale);
      candidates.gather(logits, best, scale, 0, candidates.binAt(goal).bin);
      candidates.keepMass(goal);
    }
  } else {
    // No token of a later bin has minP of the likeliest's weight.
    const last = Math.min(STEP_LIMIT - 1, Math.floor(-Math.log(minP) * STEPS) + 1);
    candidates.gather(logits, best, scale, 0, last);
  }
  if (minP > 0) candidates.keepWeight(minP);
}

/** Logits of which the largest is found first. */
const BLOCK = 1024;

/** The id of the largest logit, the lowest of equal ones as torch.argmax gives it. */
export function argmax(logits: Float32Array): number {
  const { length } = logits;
  let best = -Infinity;
  let from = 0;
  for (let start = 0; start < length; start += BLOCK) {
    const largest = largestOf(logits, start, Math.min(length, start + BLOCK));
    if (largest <= best) continue;
    best = largest;
    from = start;
  }
  let id = from;
  while (id < length && logits[id]! < best) id++;
  return id;
}

function largestOf(logits: Float32Array, from: number, to: number): number {
  // Four at a time: comparisons that wait for each other take twice as long.
  let [a, b, c, d] = [-Infinity, -Infinity, -Infinity, -Infinity];
  const whole = to - 3;
  let i = from;
  for (; i < whole; i += 4) {
    a = logits[i]! > a ? logits[i]! : a;
    b = logits[i + 1]! > b ? logits[i + 1]! : b;
    c = logits[i + 2]! > c ? logits[i + 2]! : c;
    d = logits[i + 3]! > d ? logits[i + 3]! : d;
  }
  for (; i < to; i++) a = logits[i]! > a ? logits[i]! : a;
  return Math.max(a, b, c, d);
}

function randomSeed(): number {
  return getRandomValues(new Uint32Array(1))[0]!;
}
