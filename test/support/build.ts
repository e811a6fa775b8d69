import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Vitest's global set-up: compiles once, since some tests run the built commands. */
export default function build(): void {
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  const { status } = spawnSync(process.execPath, [compiler, '-b', 'src', 'bench'], { stdio: 'inherit' });
  if (status !== 0) throw new Error('the project does not compile');
}
