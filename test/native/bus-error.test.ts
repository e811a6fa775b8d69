import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { loadExpertKernels } from '../../src/native/kernels.js';
import { temporaryFolder } from '../support/folder.js';

const unbuilt = loadExpertKernels() ? undefined : 'the native CPU kernels were not built';

it.skipIf(unbuilt)(
  `a file that is cut while it is mapped is named in a line${unbuilt ? ` (skipped: ${unbuilt})` : ''}`,
  () => {
    const script = join(temporaryFolder(), 'cut.mjs');
    writeFileSync(
      script,
      `import { truncateSync, writeFileSync } from 'node:fs';
import { sayBusError } from '${resolve('dist/native/kernels.js')}';
import { mapFile, view } from '${resolve('dist/native/os/memory.js')}';
sayBusError('it was cut');
const file = '${join(temporaryFolder(), 'weights')}';
writeFileSync(file, new Uint8Array(1 << 20));
const bytes = new Uint8Array(view(mapFile(file).address, 1 << 20));
truncateSync(file, 4096);
console.log(bytes[4095]);
console.log(bytes[8192]);`,
    );
    const { signal, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
    expect({ signal, stdout, stderr }).toEqual({ signal: 'SIGBUS', stdout: '0\n', stderr: 'it was cut\n' });
  },
);
