import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { loadExpertKernels } from '../../src/native/kernels.js';
import { temporaryFolder } from '../support/folder.js';
import { hubServer } from '../support/hub-server.js';
import { knownMachine } from '../support/known-machine.js';
import { writeBlocks } from '../support/synthetic-gguf.js';
import { fiddler, jsonLines, start, unwarned } from './fiddler.js';

const MIB = 2 ** 20;
const SIZES = { layers: 2, hidden: 512, width: 1024, experts: 8, vocabulary: 2000 };

it('of a GGUF file on the hub a plan reads the header alone, and names types as the report of a run does', async () => {
  const repository = temporaryFolder();
  mkdirSync(join(repository, 'Q4_K_M'));
  const file = join(repository, 'Q4_K_M', 'model-Q4_K_M.gguf');
  writeBlocks(file, SIZES);
  expect(statSync(file).size).toBeGreaterThan(10 * MIB);
  const hub = await hubServer(repository, 'org/model-GGUF');
  vi.stubEnv('FIDDLER_CACHE', knownMachine(file, { accelerator: 'host', threads: 1 }));
  const options = ['--accelerator', 'host', '--threads', '1', '--ctx', '512', '--experts-resident', '50%', '--json'];

  const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: temporaryFolder() };
  const { child, ended } = start(['plan', 'org/model-GGUF:q4_k_m', ...options], env);
  child.stdin.end();
  const { code, stdout, stderr } = await ended;
  expect({ code, stderr: unwarned(stderr) }).toEqual({ code: 0, stderr: '' });
  const [plan] = jsonLines(stdout);
  expect(plan.experts).toMatchObject({ resident: 8, total: 16, types: 'Q4_K, down Q6_K' });
  const asked = hub.seen.filter(({ path }) => path.endsWith('.gguf'));
  expect(asked.map(({ range }) => range)).toEqual([`bytes=0-${MIB - 1}`]);
  expect(hub.sent()).toBeLessThan(1.1 * MIB);

  const run = ['run', '-m', file, '--tokens', '1,2,3', '--max-tokens', '2', '--policy', 'static', '--no-learn'];
  const ran = await fiddler([...run, ...options]);
  expect(ran.code, ran.stderr).toBe(0);
  const { report } = jsonLines(ran.stdout).pop();
  expect(report.experts).toMatchObject({ resident: 8, total: 16, types: 'Q4_K, down Q6_K' });
  expect(report.memory.accelerator).toBeGreaterThan(0);
  expect(report.kernels).toBe(plan.experts.kernels);
  const kernels = ['--cpu-kernels', 'native', '--experts-resident', '0%'];
  const { stderr: lines } = await fiddler([
    ...run,
    '--accelerator',
    'host',
    '--threads',
    '1',
    '--ctx',
    '512',
    ...kernels,
  ]);
  const name = loadExpertKernels()?.name;
  if (name) expect(lines).toMatch(new RegExp(`experts +0 of 16 resident, .*; Q4_K, down Q6_K by ${name}\n`));
});
