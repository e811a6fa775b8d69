import { inPlace, type Policy } from '../../src/experts/policy.js';

function policy(name: string): Policy {
  return { name, summary: '', streams: false, byCost: false, decide: inPlace };
}

/** To be told apart, and no more. */
export const POLICIES: [Policy, Policy] = [policy('first'), policy('second')];
