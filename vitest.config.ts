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
/** What leaves nothing behind in its process: files one after another in one, since starting it takes longer than most. */
const light = ['test/{experts,sampling,text,weights}/**/*.test.ts'];
/** What several threads compute together: one file at a time, on every core. */
const together = ['test/native/*.test.ts', 'test/engine/golden.test.ts', 'test/weights/conversions/*.test.ts'];

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
          name: 'beside',
          include: ['test/**/*.test.ts'],
          exclude: [...slow, ...together, ...light],
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...beside,
          name: 'light',
          include: light,
          exclude: [...slow, ...together],
          isolate: false,
          sequence: { groupOrder: 1 },
        },
      },
      { test: { ...beside, name: 'slow', include: slow, sequence: { groupOrder: 2 } } },
    ],
  },
});
