import type { GenerateOptions } from '../options.js';

/** The options that change logits before a token is chosen, all given. */
export type Adjusting = Required<
  Pick<GenerateOptions, 'repetitionPenalty' | 'presencePenalty' | 'frequencyPenalty' | 'logitBias'>
>;

/**
 * Changes logits by bias and penalties: the bias is added, tokens of the prompt and of the answer take the repetition
 * penalty (CTRL, arXiv 1909.05858, section 4.1; Hugging Face's form), and tokens of the answer lose what OpenAI's API
 * defines: the presence penalty once, and the frequency penalty as often as they are there.
 */
export class Adjustments {
  readonly #options: Adjusting;
  readonly #bias: readonly (readonly [token: number, bias: number])[];
  readonly #penalises: boolean;
  /** How often each token of the answer was chosen. */
  readonly #chosen = new Map<number, number>();
  #adjusted = new Float32Array(0);

  constructor(options: Adjusting) {
    this.#options = options;
    this.#bias = Object.entries(options.logitBias).map(([token, bias]) => [Number(token), bias]);
    this.#penalises = options.presencePenalty !== 0 || options.frequencyPenalty !== 0;
  }

  /**
   * @param logits (vocabulary); left as they are
   * @param seen ids of the prompt and of the answer so far
   * @param mask a bit for each token that may be chosen, the lowest first; without one any may
   * @returns the same array where nothing changes them, else one that holds until the next call
   */
  apply(logits: Float32Array, seen: Iterable<number>, mask?: Int32Array): Float32Array {
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = this.#options;
    if (repetitionPenalty === 1 && !this.#penalises && this.#bias.length === 0 && !mask) return logits;
    if (this.#adjusted.length !== logits.length) this.#adjusted = new Float32Array(logits.length);
    const adjusted = this.#adjusted;
    adjusted.set(logits);
    for (const [token, bias] of this.#bias) if (token < adjusted.length) adjusted[token]! += bias;
    if (repetitionPenalty !== 1) {
      const once = seen instanceof Set ? seen : new Set(seen);
      for (const id of once) adjusted[id] = divided(adjusted[id]!, repetitionPenalty);
    }
    if (this.#penalises) {
      for (const [id, count] of this.#chosen) adjusted[id]! -= presencePenalty + count * frequencyPenalty;
    }
    if (mask) rule(adjusted, mask);
    return adjusted;
  }

  /** `token` is the next of the answer. */
  note(token: number): void {
    if (this.#penalises) this.#chosen.set(token, (this.#chosen.get(token) ?? 0) + 1);
  }
}

/** Rules out what the mask does not have. */
function rule(logits: Float32Array, mask: Int32Array): void {
  for (let token = 0; token < logits.length; token++) {
    if (((mask[token >> 5]! >>> (token & 31)) & 1) === 0) logits[token] = Number.NEGATIVE_INFINITY;
  }
}

/** Divides a positive and multiplies a negative logit. */
function divided(logit: number, factor: number): number {
  return logit > 0 ? logit / factor : logit * factor;
}
