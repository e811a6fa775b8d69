import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/folder.js';

it('the command works in a folder that was deleted', async () => {
  const folder = temporaryFolder();
  const main = resolve('dist/cli/main.js');
  const model = ['--model', resolve('models/mini-mixtral'), '--accelerator', 'none', '--threads', '1'];
  const command = [process.execPath, main, 'run', 'The old', '--max-tokens', '2', ...model];
  const shell = spawn('sh', ['-c', `rmdir "$0" && exec "$@"`, folder, ...command], { cwd: folder });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (data) => (output += data));
  const [code] = await once(shell, 'close');
  rmSync(folder, { recursive: true, force: true });
  expect(code, output).toBe(0);
  expect(output).toMatch(/decode +2 tokens/);
});
