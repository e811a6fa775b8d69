import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { kernelsMissing } from './kernels.js';
import { vulkanMissing } from './vulkan.js';

/** Each project of a run has a copy of this module. */
const DONE = Symbol.for('fiddler: built for this run');

/**
 * Vitest's global set-up: compiles once a run, since some tests run the built commands, and forgets what earlier ones learnt.
 * CI must have what every test needs.
 */
export default function build({ config }: TestProject): void {
  if (Reflect.get(globalThis, DONE)) return;
  rmSync(join(config.env.FIDDLER_CACHE!, 'profiles'), { recursive: true, force: true });
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  const { status } = spawnSync(process.execPath, [compiler, '-b', 'src', 'bench'], { stdio: 'inherit' });
  if (status !== 0) throw new Error('the project does not compile');
  const missing = process.env.CI ? [kernelsMissing(), vulkanMissing()].filter((line) => line !== undefined) : [];
  if (missing.length > 0) throw new Error(`CI skips no test, but ${missing.join(', and ')}`);
  Reflect.set(globalThis, DONE, true);
}
