import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LoadOptions } from '../../src/options.js';
import { logitsOf, nmse } from '../models/gguf-logits.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { readTensors, SMALL_MODEL } from '../support/model.js';
import { NVFP4_CONFIG, type Nvfp4Way, quantizeNvfp4 } from '../support/nvfp4.js';
import { type TensorToWrite, writeSafetensors } from '../support/safetensors.js';

const config = JSON.parse(readFileSync(join(SMALL_MODEL, 'config.json'), 'utf8'));
/** Experts are w1, w2 and w3. */
const EXPERTS = /experts\.\d+\.w\d\.weight$/;
const PROJECTIONS = /(_proj|w\d)\.weight$/;

function write(tensors: TensorToWrite[], quantization?: object): string {
  const dir = temporaryFolder();
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, quantization_config: quantization }));
  writeSafetensors(join(dir, 'model.safetensors'), tensors);
  return dir;
}

/** The model with what matches in NVFP4, and with the same numbers in float32. */
function models(way: Nvfp4Way, quantized: RegExp): { packed: string; same: string } {
  const tensors = readTensors(join(SMALL_MODEL, 'model.safetensors')).map((tensor) =>
    quantized.test(tensor.name) ? quantizeNvfp4(tensor, way) : { packed: [tensor], same: tensor },
  );
  const packed = tensors.flatMap((t) => t.packed);
  return { packed: write(packed, NVFP4_CONFIG[way]), same: write(tensors.map((t) => t.same)) };
}

const SETTINGS: readonly LoadOptions[] = [
  { accelerator: 'none' },
  { accelerator: 'host', expertsResident: 0.5, policy: 'lanes' },
  { accelerator: 'host', expertsResident: 0, policy: 'stream' },
];

describe('a checkpoint in NVFP4', () => {
  it.each(['modelopt', 'compressed-tensors'] as const)('of %s gives the logits of the same numbers', (way) => {
    const { packed, same } = models(way, PROJECTIONS);
    const expected = logitsOf(same, { dtype: 'f32' });
    for (const setting of SETTINGS) {
      expect(nmse(logitsOf(packed, { ...setting, dtype: 'f32' }), expected)).toBeLessThan(1e-10);
      expect(nmse(logitsOf(packed, setting), expected)).toBeLessThan(1e-3);
    }
  });

  it('may have experts alone so, whose config says nothing', () => {
    const { packed, same } = models('modelopt', EXPERTS);
    writeFileSync(join(packed, 'config.json'), JSON.stringify(config));
    expect(nmse(logitsOf(packed, { dtype: 'f32' }), logitsOf(same, { dtype: 'f32' }))).toBeLessThan(1e-10);
  });

  it('has a layer of experts in one type, unless all is computed in float32', () => {
    const { packed, same } = models('modelopt', /experts\.[013]\.w\d\.weight$/);
    expect(fiddlerError('unsupported', () => logitsOf(packed))).toContain('in different types (NVFP4, BF16)');
    expect(nmse(logitsOf(packed, { dtype: 'f32' }), logitsOf(same, { dtype: 'f32' }))).toBeLessThan(1e-10);
  });
});
