import { refuseUnless } from './config.js';
import type { HostIntegers, HostVector } from './parameters.js';
import { type Router, sized, softmaxOverChosen, sumInto, topK } from './router.js';

export interface ScoreRouterOptions {
  chosen: number;
  /** How logits become scores, which are the weights of the chosen experts. */
  score: keyof typeof SCORES;
  /** Added to the scores for choosing only (loss-free balancing, arXiv 2408.15664). */
  correction?: HostVector;
  /** Experts are chosen from the `kept` best of `count` equal groups; a group is as good as its best expert, or two. */
  groups?: { count: number; kept: number; by: 'best' | 'best two' };
  /** Weights are divided by their sum plus `epsilon`, or by `minimum` where that is more. */
  renormalise?: { epsilon?: number; minimum?: number };
  /** Factor of the weights. */
  scale?: number;
  /** The experts of each token [vocabulary, chosen], whatever their scores are (hash layers, arXiv 2106.04426). */
  table?: HostIntegers;
}

/** Scores every expert, chooses by score, and weighs by score: DeepSeek-V3 (arXiv 2412.19437, section 2.1.2) and others. */
export function scoreRouter(options: ScoreRouterOptions): Router {
  const { chosen, correction, groups, renormalise, scale = 1, table } = options;
  const plain = renormalise && !renormalise.epsilon && !renormalise.minimum && !correction && !groups && !table;
  if (plain && options.score === 'softmax') return softmaxOverChosen(chosen, { scale }); // the same for a third of the time
  const score = SCORES[options.score];
  let scores = new Float32Array();
  let choice = new Float32Array();
  return {
    chosen,
    rule: table ? undefined : { chosen, score: options.score, correction, groups, renormalise, scale },
    choose(logits, ids, weights, token = 0) {
      scores = sized(scores, logits);
      choice = sized(choice, logits);
      score(scores, logits);
      if (correction) sumInto(choice, scores, correction.values);
      else choice.set(scores);
      if (groups && groups.kept < groups.count) leaveOutGroups(choice, groups);
      if (table) for (let i = 0; i < chosen; i++) ids[i] = Number(table.values[token * chosen + i]);
      else topK(choice, ids);
      let sum = 0;
      for (let i = 0; i < chosen; i++) sum += weights[i] = scores[ids[i]!]!;
      if (table) unite(ids, weights);
      const { epsilon = 0, minimum = 0 } = renormalise ?? {};
      const factor = renormalise ? scale / Math.max(sum + epsilon, minimum) : scale;
      for (let i = 0; i < chosen; i++) weights[i]! *= factor;
    },
  };
}

/** An expert that is named twice has the weight of both, and the later place is none's. */
function unite(ids: Int32Array, weights: Float32Array): void {
  for (let i = 1; i < ids.length; i++) {
    const first = ids.indexOf(ids[i]!);
    if (first === i) continue;
    weights[first]! += weights[i]!;
    weights[i] = 0;
    ids[i] = -1;
  }
}

/** Checks what a config says of groups. @throws FiddlerError `unsupported` */
export function expertGroups(
  by: 'best' | 'best two',
  { experts, chosen, count, kept }: { experts: number; chosen: number; count: number; kept: number },
): ScoreRouterOptions['groups'] {
  const each = experts / count;
  refuseUnless(Number.isInteger(each), 'n_group', `is ${count}, which does not divide ${experts} experts`);
  refuseUnless(kept <= count, 'topk_group', `is ${kept}, but there are only ${count} groups`);
  refuseUnless(
    kept * each >= chosen,
    'topk_group',
    `leaves ${kept * each} experts, fewer than the ${chosen} of a token`,
  );
  refuseUnless(by === 'best' || count === 1 || each > 1, 'n_group', `is ${count}, which leaves one expert a group`);
  return count === 1 ? undefined : { count, kept, by };
}

/** Sets the scores of all groups but the best to −∞. */
function leaveOutGroups(choice: Float32Array, { count, kept, by }: NonNullable<ScoreRouterOptions['groups']>): void {
  const each = choice.length / count;
  const worth = Float32Array.from({ length: count }, (_, group) => {
    let [best, second] = [-Infinity, -Infinity];
    for (let e = group * each; e < (group + 1) * each; e++) {
      const value = choice[e]!;
      if (value > best) [best, second] = [value, best];
      else if (value > second) second = value;
    }
    return by === 'best' ? best : best + second;
  });
  const keptGroups = new Int32Array(kept);
  topK(worth, keptGroups);
  for (let group = 0; group < count; group++) {
    if (!keptGroups.includes(group)) choice.fill(-Infinity, group * each, (group + 1) * each);
  }
}

function softmaxInto(scores: Float32Array, logits: Float32Array): void {
  let best = -Infinity;
  for (const logit of logits) if (logit > best) best = logit;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += scores[i] = Math.exp(logits[i]! - best);
  for (let i = 0; i < logits.length; i++) scores[i]! /= sum;
}

function sigmoidInto(scores: Float32Array, logits: Float32Array): void {
  for (let i = 0; i < logits.length; i++) scores[i] = 1 / (1 + Math.exp(-logits[i]!));
}

/** √log(1 + e^logit) (DeepSeek-V4's report, section 2.1). */
function rootSoftplusInto(scores: Float32Array, logits: Float32Array): void {
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    scores[i] = Math.sqrt(Math.max(logit, 0) + Math.log1p(Math.exp(-Math.abs(logit)))); // no overflow
  }
}

const SCORES = { softmax: softmaxInto, sigmoid: sigmoidInto, 'root softplus': rootSoftplusInto } as const;
