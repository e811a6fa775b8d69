/** Steps of the table in each unit of the exponent. */
export const STEPS = 128;

/** What lies further below the largest is left out: e⁻⁴⁰ each, so 200,000 of them add less than 1e-12 to a sum ≥ 1. */
const REACH = 40;

/** `expSteps` holds for steps below this. */
export const STEP_LIMIT = REACH * STEPS;

const TABLE = Float64Array.from({ length: STEP_LIMIT }, (_, step) => Math.exp(-step / STEPS));

/**
 * exp(−y / STEPS) for y in [0, STEP_LIMIT), to a relative error of 3e-13: from a table and four terms of the Taylor
 * series. A softmax over a vocabulary of 200,000 takes a third of its time with Math.exp.
 */
export function expSteps(y: number): number {
  const step = y | 0;
  const r = (y - step) / STEPS;
  return TABLE[step]! * (1 - r * (1 - r * (1 / 2 - r * (1 / 6 - r * (1 / 24)))));
}
