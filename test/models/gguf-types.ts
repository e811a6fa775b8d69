import { join } from 'node:path';
import { expect, it } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import type { LoadOptions } from '../../src/options.js';
import { temporaryFolder } from '../support/folder.js';
import { type FileType, quantize } from '../support/llama.js';
import { MIXTRAL_WIDE, writeQwen3Wide } from '../support/wide.js';
import { logitsOf, nmse } from './gguf-logits.js';

/** llama.cpp's own arithmetic gives 5e-5 to 2.3e-4. */
const LARGEST_NMSE = 3e-4;

prepareEnvironment({ dtype: 'f32' });

/** Models in bf16: gives the file. */
const ORIGINALS = {
  Mixtral: () => MIXTRAL_WIDE,
  'Qwen3-MoE'(dir: string) {
    const file = join(dir, 'qwen3.gguf');
    writeQwen3Wide(file);
    return file;
  },
};

/** Has llama.cpp quantize a model and dequantize that, and compares the two as this engine computes them. */
export function typesTest(model: keyof typeof ORIGINALS, types: readonly FileType[]): void {
  it.each(types)(
    `a ${model} in %s gives the logits of its dequantized weights`,
    (type) => {
      const dir = temporaryFolder();
      const [quantized, dequantized] = ['quantized', 'dequantized'].map((name) => join(dir, `${name}.gguf`));
      quantize(ORIGINALS[model](dir), quantized!, type);
      quantize(quantized!, dequantized!, 'F32');
      const expected = logitsOf(dequantized!, { dtype: 'f32' });
      expect(nmse(logitsOf(quantized!, { dtype: 'f32' }), expected)).toBeLessThan(1e-12);
      expect(nmse(logitsOf(quantized!), expected)).toBeLessThan(LARGEST_NMSE);
      const divided: LoadOptions = { accelerator: 'host', expertsResident: 0.5, policy: 'lru' };
      expect(nmse(logitsOf(quantized!, divided), expected)).toBeLessThan(LARGEST_NMSE);
    },
    600_000,
  ); // llama.cpp prepares tables for types of one to three bits
}
