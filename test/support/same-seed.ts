import fc from 'fast-check';

/*
 * Vitest's set-up of a worker: in CI every property meets the same values each time, so that a run tells what a change broke;
 * elsewhere they are drawn anew, or by the seed that is named.
 */
const seed = process.env.FIDDLER_SEED ?? (process.env.CI && 20261130);
if (seed) fc.configureGlobal({ seed: Number(seed) });
