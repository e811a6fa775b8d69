import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeGguf } from '../../bench/gguf-writer.js';
import { prepareEnvironment } from '../../src/devices/environment.js';
import type { LoadOptions } from '../../src/options.js';
import { temporaryFolder } from '../support/folder.js';
import { quantize } from '../support/llama.js';
import { readGguf } from '../support/rewritten.js';
import { MIXTRAL_WIDE } from '../support/wide.js';
import { logitsOf } from './gguf-logits.js';

prepareEnvironment({ dtype: 'auto' });

const PARTS = 3;

/** Writes a file's tensors into several, one after the other in turn; gives the first. */
function writeShards(from: string, dir: string): string {
  const { keys, tensors } = readGguf(from);
  const paths = Array.from({ length: PARTS }, (_, part) => join(dir, `model-0000${part + 1}-of-0000${PARTS}.gguf`));
  for (const [part, path] of paths.entries()) {
    writeGguf(path, {
      metadata: {
        'split.no': { kind: 'u16', value: part },
        'split.count': { kind: 'u16', value: PARTS },
        'split.tensors.count': { kind: 'i32', value: tensors.length },
      },
      ...(part === 0 && { keys }),
      tensors: tensors.filter((_, i) => i % PARTS === part),
    });
  }
  return paths[0]!;
}

it.each<LoadOptions>([{ accelerator: 'none' }, { accelerator: 'host', expertsResident: 0.5, policy: 'lru' }])(
  'a quantized model in shards gives the logits that it gives in one file: %o',
  (options) => {
    const dir = temporaryFolder();
    const whole = join(dir, 'whole.gguf');
    quantize(MIXTRAL_WIDE, whole, 'Q4_K_M');
    expect(logitsOf(writeShards(whole, dir), options)).toEqual(logitsOf(whole, options));
  },
);
