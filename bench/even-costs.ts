import { NO_COSTS } from '#fiddler/experts/costs.js';
import type { Costs } from '#fiddler/experts/policy.js';

/** Costs by which policies use all lanes, and experts are divided over them: nothing need be measured. */
export const EVEN: Costs = { ...NO_COSTS, cpu: () => 1, copy: 1, accelerator: () => 1, overlap: true };
