import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

const shared = {
  pool: 'forks' as const,
  // What tests find out and learn is no matter of the user's.
  env: { FIDDLER_CACHE: join(tmpdir(), 'fiddler-test-cache') },
  globalSetup: 'test/support/build.ts',
  testTimeout: 120_000,
  hookTimeout: 120_000,
  setupFiles: ['test/support/same-seed.ts', 'test/support/sole-user.ts'],
  // In CI a busy machine may make a process late: a second try, which the reporter names.
  retry: process.env.CI ? 1 : 0,
};

/** Files that run beside each other, each on one core. */
const beside = {
  ...shared,
  setupFiles: [...shared.setupFiles, 'test/support/one-core.ts'],
  maxWorkers: availableParallelism(),
};

const slow = ['test/**/*.slow.test.ts'];
/** What changes its process or looks at all of it: a process a file. Others share one, since starting it takes longer than most of them. */
const alone = [
  'test/cli/{plan,plan-gguf,profile,usage}.test.ts',
  'test/devices/{core-watch,cuda-code,environment,probe}.test.ts',
  'test/engine/{errors-in-calls,rebalance,rebalance-several,stopwatch}.test.ts',
  'test/loading/{popularity,residency,types}.test.ts',
  'test/pace/calibration.test.ts',
  'test/planning/rehearsal.test.ts',
  'test/thread/{engine-thread,loading,outbox}.test.ts',
];
/** What several threads compute together: one file at a time, on every core. */
const together = [
  'test/native/{experts,pool}.test.ts',
  'test/engine/golden.test.ts',
  'test/weights/conversions/*.test.ts',
];

export default defineConfig({
  test: {
    reporters: ['default', './test/support/honest.ts'],
    projects: [
      {
        test: {
          ...shared,
          name: 'together',
          include: together,
          exclude: slow,
          fileParallelism: false,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...beside,
          name: 'alone',
          include: alone,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...beside,
          name: 'beside',
          include: ['test/**/*.test.ts'],
          exclude: [...slow, ...together, ...alone],
          isolate: false,
          sequence: { groupOrder: 1 },
        },
      },
      { test: { ...beside, name: 'slow', include: slow, sequence: { groupOrder: 2 } } },
    ],
  },
});
