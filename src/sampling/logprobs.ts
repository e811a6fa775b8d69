import { FiddlerError } from '../errors.js';
import type { TokenLogprob } from '../report.js';
import { expSteps, STEP_LIMIT, STEPS } from './exponential.js';

/** Natural logarithm of the sum of exp(logits), in double precision, to 1e-12. */
export function logSumExp(logits: Float32Array): number {
  const { length } = logits;
  let best = -Infinity;
  for (let i = 0; i < length; i++) if (logits[i]! > best) best = logits[i]!;
  let sum = 0;
  for (let i = 0; i < length; i++) {
    const y = (best - logits[i]!) * STEPS;
    if (y < STEP_LIMIT) sum += expSteps(y);
  }
  return best + Math.log(sum);
}

/**
 * Natural logarithm of the probability of `token` in softmax(logits).
 * @param normaliser `logSumExp(logits)`, where it is known already
 */
export function logprobOf(logits: Float32Array, token: number, normaliser = logSumExp(logits)): number {
  return logits[token]! - normaliser;
}

/**
 * The k likeliest tokens of softmax(logits), likeliest first, of equal ones the lowest id first; tokens of probability
 * 0 (logit −∞) are left out. Meant for a k that a person reads.
 * @param normaliser `logSumExp(logits)`, where it is known already
 */
export function topLogprobs(logits: Float32Array, k: number, normaliser = logSumExp(logits)): TokenLogprob[] {
  const best: number[] = []; // ids
  let least = -Infinity; // a logit must be larger to be among the best
  for (let token = 0; token < logits.length && k > 0; token++) {
    const logit = logits[token]!;
    if (!(logit > least)) continue;
    let place = best.length;
    while (place > 0 && logits[best[place - 1]!]! < logit) place--;
    best.splice(place, 0, token);
    if (best.length > k) best.pop();
    if (best.length === k) least = logits[best.at(-1)!]!;
  }
  return best.map((token) => ({ token, logprob: logits[token]! - normaliser }));
}

/**
 * Refuses logits from which no token can be chosen: a NaN, +∞, or nothing but −∞ (some −∞ are tokens ruled out).
 * @throws FiddlerError `numeric`
 */
export function checkFinite(logits: Float32Array): void {
  if (isFiniteSum(logits)) return;
  let possible = false;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token]!;
    if (!(logit < Infinity)) throw notNumbers(`the logit of token ${token} is ${logit}`);
    possible ||= logit > -Infinity;
  }
  if (!possible) throw notNumbers('every logit is -Infinity');
}

/** Whether all are numbers: then their sum is one. */
function isFiniteSum(logits: Float32Array): boolean {
  // Four at a time: additions that wait for each other take twice as long.
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = logits.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    a += logits[i]!;
    b += logits[i + 1]!;
    c += logits[i + 2]!;
    d += logits[i + 3]!;
  }
  for (let i = whole; i < logits.length; i++) a += logits[i]!;
  return logits.length > 0 && Number.isFinite(a + b + c + d);
}

function notNumbers(what: string): FiddlerError {
  return new FiddlerError(
    'numeric',
    `the model computed values that are not numbers (${what})`,
    "try --dtype f32, and check the model's files",
  );
}
