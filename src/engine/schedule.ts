/** What a sequence has to compute. */
export interface Demand {
  /** Tokens that are not in the KV cache yet; one where it decodes. */
  pending: number;
  /** They are one call. */
  whole: boolean;
}

export interface Bounds {
  /** Most tokens of a call. */
  calls: number;
  /** Most tokens of a sequence in a call. */
  chunk: number;
  /** Most tokens of prompts in a call that others wait for. */
  beside: number;
}

/**
 * Tokens of each sequence in the next call. Whoever decodes goes on in every call; what prompts may take besides is bounded
 * while any does, and goes to them by arrival. What cannot be divided may exceed that bound, alone.
 * @param demands in order of arrival, none of them 0, and not more than `calls`
 */
export function schedule(demands: readonly Demand[], { calls, chunk, beside }: Bounds): number[] {
  const decoding = demands.reduce((count, { pending }) => count + (pending === 1 ? 1 : 0), 0);
  let left = Math.min(calls - decoding, decoding > 0 ? beside : chunk);
  let first = true;
  return demands.map(({ pending, whole }) => {
    if (pending === 1) return 1;
    const most = first && whole ? Math.min(pending, calls - decoding) : Math.min(pending, chunk, left);
    first = false;
    const tokens = whole && most < pending ? 0 : most;
    left = Math.max(0, left - tokens);
    return tokens;
  });
}
