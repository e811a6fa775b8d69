/** Steps of the table in each unit of the exponent. */
export const STEPS = 128;

/** Length of a step. */
const STEP = 1 / STEPS;

/** What lies further below the largest is left out: e⁻⁴⁰ each, so 200,000 of them add less than 1e-12 to a sum ≥ 1. */
const REACH = 40;

/** `expSteps` holds for steps below this. */
export const STEP_LIMIT = REACH * STEPS;

/** exp(−step / STEPS) for each whole step. */
export const WHOLE_STEPS = Float64Array.from({ length: STEP_LIMIT }, (_, step) => Math.exp(-step / STEPS));

/** exp(−part / STEPS) for a part of a step, in [0, 1): four terms of the Taylor series, relative error under 3e-13. */
export function partOfStep(part: number): number {
  const r = part * STEP;
  return 1 - r * (1 - r * (1 / 2 - r * (1 / 6 - r * (1 / 24))));
}

/** exp(−y / STEPS) for y in [0, STEP_LIMIT): a softmax over a large vocabulary takes a third of its time with Math.exp. */
export function expSteps(y: number): number {
  const step = y | 0;
  return WHOLE_STEPS[step]! * partOfStep(y - step);
}
