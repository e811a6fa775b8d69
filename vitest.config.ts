import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

const shared = {
  pool: 'forks',
  // What tests find out and learn is no matter of the user's.
  env: { FIDDLER_CACHE: join(tmpdir(), 'fiddler-test-cache') },
  globalSetup: 'test/support/build.ts',
  testTimeout: 120_000,
  hookTimeout: 120_000,
} as const;

export default defineConfig({
  test: {
    // Two thread pools that spin on the same cores slow each other down a thousandfold.
    fileParallelism: false,
    projects: [
      { test: { ...shared, name: 'fast', include: ['test/**/*.test.ts'], exclude: ['test/**/*.slow.test.ts'] } },
      { test: { ...shared, name: 'all', include: ['test/**/*.test.ts'] } },
    ],
  },
});
