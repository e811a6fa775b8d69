import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { Type } from '../../src/native/ggml/tensor.js';
import { logitsOf, nmse } from '../models/gguf-logits.js';
import { dequantizedModel } from '../support/dequantized.js';
import { SMALL_MODEL } from '../support/model.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';

// Read by ggml's libraries when they load, which is with the first model here.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);
prepareEnvironment({ dtype: 'f32' });

/** Whole models are quantized, of which routers nearly tie somewhere: what is off by more is wrong, not rounded. */
const ROUNDED = 0.05;

const decoders = readdirSync('test/golden').filter((name) => {
  const config = join('test/golden', name, 'config.json');
  if (!existsSync(join('test/golden', name, 'model.safetensors'))) return false;
  return JSON.parse(readFileSync(config, 'utf8')).is_encoder_decoder !== true && name !== 'switch';
});

it.each(decoders)('%s gives about its own logits with all matrices in q8_0', (name) => {
  const dir = join('test/golden', name);
  const expected = logitsOf(dir);
  const options = { quantize: 'q8_0:all', policy: 'lru', ctx: 64 } as const;
  expect(nmse(logitsOf(dir, options), expected)).toBeLessThan(ROUNDED);
  const half = { ...options, accelerator: 'host', expertsResident: 0.5 } as const;
  expect(nmse(logitsOf(dir, half), expected)).toBeLessThan(ROUNDED);
});

describe.skipIf(vulkanMissing())('on software Vulkan', () => {
  it.each(['q8_0', 'q4_k'] as const)(
    'experts in %s give the logits of their dequantized numbers',
    (quantize) => {
      const reference = dequantizedModel(SMALL_MODEL, Type[quantize === 'q8_0' ? 'Q8_0' : 'Q4_K']);
      const expected = logitsOf(reference, { dtype: 'f32' });
      const options = { quantize, accelerator: 'vulkan', expertsResident: 0.5, policy: 'lru' } as const;
      expect(nmse(logitsOf(SMALL_MODEL, options), expected)).toBeLessThan(3e-4);
    },
    600_000,
  );
});
