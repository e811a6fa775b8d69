import { vi } from 'vitest';

/*
 * Vitest's set-up of a worker: what is measured at a load counts as measured in peace, and is stored. Test files run beside
 * each other, so that it would be measured anew at each load.
 */
vi.mock('../../src/devices/core-watch.js', async (importOriginal) => ({
  ...(await importOriginal<typeof import('../../src/devices/core-watch.js')>()),
  CoreWatch: class {
    readonly lost = 0;
  },
}));
