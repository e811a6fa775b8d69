import type { RoutingRule } from '../native/routing-arguments.js';
import type { HostVector } from './parameters.js';

/** Chooses experts from a router's logits; pure, so that each kind is tested alone. */
export interface Router {
  /** Experts chosen for a token. */
  readonly chosen: number;
  /** What `choose` does, as data: native code may do it in its place. */
  readonly rule?: RoutingRule;
  /**
   * Writes the ids of the chosen experts, best first, and their weights.
   * @param logits [experts], not changed
   * @param token for routers that choose by it
   */
  choose(logits: Float32Array, ids: Int32Array, weights: Float32Array, token?: number): void;
  /** What is guessed ahead of the layer's call, from logits for the state before it; `choose` where this is left out. */
  guess?(logits: Float32Array, ids: Int32Array, weights: Float32Array): void;
}

/**
 * The best logits, then softmax over those: equal to softmax over all, then top-k, then division by their sum.
 * Mixtral (arXiv 2401.04088, section 2.1).
 * @param options `bias` is added to the logits; the weight of an expert is multiplied by `scale` and by its own of `scales`
 */
export function softmaxOverChosen(
  chosen: number,
  { scale = 1, bias, scales }: { scale?: number; bias?: HostVector; scales?: HostVector } = {},
): Router {
  let biased = new Float32Array();
  return {
    chosen,
    rule: { chosen, score: 'logit', scale, bias, scales },
    choose(given, ids, weights) {
      if (bias) biased = sized(biased, given);
      const logits = bias ? sumInto(biased, given, bias.values) : given;
      topK(logits, ids);
      const best = logits[ids[0]!]!;
      let sum = 0;
      for (let i = 0; i < chosen; i++) sum += weights[i] = Math.exp(logits[ids[i]!]! - best);
      for (let i = 0; i < chosen; i++) weights[i]! *= (scale / sum) * (scales?.values[ids[i]!] ?? 1);
    },
  };
}

/** An array of the length of `like`: `array` itself where it fits, so that routers allocate once. */
export function sized(array: Float32Array<ArrayBuffer>, like: Float32Array): Float32Array<ArrayBuffer> {
  return array.length === like.length ? array : new Float32Array(like.length);
}

/** target = a + b. */
export function sumInto(target: Float32Array, a: Float32Array, b: Float32Array): Float32Array {
  for (let i = 0; i < target.length; i++) target[i] = a[i]! + b[i]!;
  return target;
}

/** Fills `ids` with the indices of the largest values, largest first; the lower index wins a tie, as in torch.topk. */
export function topK(values: Float32Array, ids: Int32Array): void {
  const k = ids.length;
  let found = 0;
  let least = Number.NaN; // of those found, once there are k
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (found === k && !(value > least)) continue;
    let at = found < k ? found++ : k - 1;
    for (; at > 0 && value > values[ids[at - 1]!]!; at--) ids[at] = ids[at - 1]!;
    ids[at] = i;
    if (found === k) least = values[ids[k - 1]!]!;
  }
}
