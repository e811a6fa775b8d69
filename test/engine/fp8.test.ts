import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readGolden } from '../../bench/golden-data.js';
import { loadEngine } from '../../src/engine/load.js';
import type { LoadOptions } from '../../src/options.js';
import { temporaryFolder } from '../support/folder.js';
import { quantize } from '../support/fp8.js';
import { readTensors } from '../support/model.js';
import { writeSafetensors } from '../support/safetensors.js';

const golden = readGolden('test/golden', 'models', 'deepseek_v3');
const config = JSON.parse(readFileSync(join(golden.dir, 'config.json'), 'utf8'));

/** What DeepSeek-V3 is published with in FP8: every projection, experts' and others', but for router and output. */
const quantized = /(_proj|_proj_with_mqa)\.weight$/;

/** The model in FP8, and with the same numbers in bf16. */
function models(block: readonly [number, number]): { packed: string; same: string } {
  const [packed, same] = [temporaryFolder(), temporaryFolder()];
  const tensors = readTensors(join(golden.dir, 'model.safetensors')).map((tensor) =>
    quantized.test(tensor.name) ? quantize(tensor, block) : { packed: [tensor], same: tensor },
  );
  writeSafetensors(
    join(packed, 'model.safetensors'),
    tensors.flatMap((t) => t.packed),
  );
  writeSafetensors(
    join(same, 'model.safetensors'),
    tensors.map((t) => t.same),
  );
  const quantization_config = {
    quant_method: 'fp8',
    fmt: 'e4m3',
    activation_scheme: 'dynamic',
    weight_block_size: block,
  };
  writeFileSync(join(packed, 'config.json'), JSON.stringify({ ...config, quantization_config }));
  writeFileSync(join(same, 'config.json'), JSON.stringify(config));
  return { packed, same };
}

function logitsOf(dir: string, options: LoadOptions): { logits: number[]; expertBytes: number; ram: number } {
  const session = loadEngine(dir, { ctx: 64, threads: 1, policy: 'static', ...options });
  try {
    const logits: number[] = [];
    session.evaluate(
      golden.cases[0]!.tokens,
      () => false,
      (_, row) => logits.push(...row),
    );
    return { logits, expertBytes: session.expertBytes, ram: session.info.memory.ram };
  } finally {
    session.close();
  }
}

describe('an FP8 checkpoint', () => {
  const settings: LoadOptions[] = [
    { accelerator: 'none', dtype: 'auto' },
    { accelerator: 'none', dtype: 'f32' },
    { accelerator: 'host', dtype: 'auto', expertsResident: 0.5 },
    { accelerator: 'host', dtype: 'f32', expertsResident: 0.5 },
  ];
  it.each(settings)('computes what the same numbers in bf16 do: %j', (options) => {
    const { packed, same } = models([24, 40]);
    const ours = logitsOf(packed, options);
    expect(ours).toEqual(logitsOf(same, options));
    expect(ours.logits.some((x) => x !== 0)).toBe(true);
    const bytesEach = options.dtype === 'f32' ? 4 : 2;
    expect(ours.expertBytes).toBe(3 * config.hidden_size * config.moe_intermediate_size * bytesEach);
  });

  it('is near what it was quantized from, with blocks as published', () => {
    const { logits } = logitsOf(models([128, 128]).packed, { accelerator: 'none', dtype: 'f32' });
    const expected = golden.cases[0]!.logits;
    const [error, power] = logits.reduce(
      ([e, p], x, i) => [e + (x - expected[i]!) ** 2, p + expected[i]! ** 2],
      [0, 0],
    );
    expect(error / power).toBeGreaterThan(0);
    expect(error / power).toBeLessThan(0.05);
  });
});
