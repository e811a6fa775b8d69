import fc from 'fast-check';

/*
 * Vitest's set-up of a worker: in CI every property meets the same values each time, so that a run tells what a change broke;
 * elsewhere they are drawn anew.
 */
if (process.env.CI) fc.configureGlobal({ seed: 20261130 });
