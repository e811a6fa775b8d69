/** Pseudo-random numbers from 0 to 1 that a seed decides (Numerical Recipes, section 7.1). */
export function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
