import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readGolden } from '../../bench/golden-data.js';
import { loadEngine } from '../../src/engine/load.js';
import { expertTotals } from '../../src/loading/blueprint.js';
import { layOut } from '../../src/loading/layout.js';
import { folderSource } from '../../src/loading/source.js';
import { typesLine } from '../../src/loading/types.js';
import type { LoadOptions } from '../../src/options.js';
import { nmse } from '../models/gguf-logits.js';
import { temporaryFolder } from '../support/folder.js';
import { quantize } from '../support/fp8.js';
import { readTensors } from '../support/model.js';
import { type TensorToWrite, writeSafetensors } from '../support/safetensors.js';

const golden = readGolden('test/golden', 'models', 'deepseek_v3');
const config = JSON.parse(readFileSync(join(golden.dir, 'config.json'), 'utf8'));

/** Numbers of an expert. */
const EXPERT = 3 * config.hidden_size * config.moe_intermediate_size;
/** In the stored type. */
const LARGEST_NMSE = 1e-3;

/** What DeepSeek-V3 is published with in FP8: every projection, experts' and others', but for router and output. */
const quantized = /(_proj|_proj_with_mqa)\.weight$/;

/** Experts' matrices with an inner size of the first `width`. */
function narrowed(tensor: TensorToWrite, width: number): TensorToWrite {
  const { name, data, shape } = tensor;
  if (!/\.(shared_)?experts\./.test(name)) return tensor;
  const [rows, columns] = shape as [number, number];
  const [high, wide] = name.includes('down_proj') ? [rows, width] : [width, columns];
  const numbers = new Uint16Array(data.slice().buffer);
  const taken = Uint16Array.from(
    { length: high * wide },
    (_, i) => numbers[Math.floor(i / wide) * columns + (i % wide)]!,
  );
  return { ...tensor, shape: [high, wide], data: new Uint8Array(taken.buffer) };
}

/** The model in FP8, and with the same numbers in bf16. @param width inner size of its experts */
function models(
  block: readonly [number, number],
  width = config.moe_intermediate_size,
): { packed: string; same: string } {
  const [packed, same] = [temporaryFolder(), temporaryFolder()];
  const tensors = readTensors(join(golden.dir, 'model.safetensors'))
    .map((tensor) => narrowed(tensor, width))
    .map((tensor) => (quantized.test(tensor.name) ? quantize(tensor, block) : { packed: [tensor], same: tensor }));
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
  writeFileSync(
    join(packed, 'config.json'),
    JSON.stringify({ ...config, moe_intermediate_size: width, quantization_config }),
  );
  writeFileSync(join(same, 'config.json'), JSON.stringify({ ...config, moe_intermediate_size: width }));
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
    { accelerator: 'none' },
    { accelerator: 'none', cpuKernels: 'native' },
    { accelerator: 'host', expertsResident: 0.5 },
    { accelerator: 'host', expertsResident: 0.5, cpuKernels: 'native' },
  ];
  it.each(settings)('computes in float32 what the same numbers do: %j', (options) => {
    const { packed, same } = models([24, 40]);
    const ours = logitsOf(packed, { ...options, dtype: 'f32' });
    expect(ours).toEqual(logitsOf(same, { ...options, dtype: 'f32' }));
    expect(ours.logits.some((x) => x !== 0)).toBe(true);
    expect(ours.expertBytes).toBe(4 * EXPERT);
  });

  it.each(settings)(
    'has experts of about a byte a number, which compute as Q8_0 of the same numbers: %j',
    (options) => {
      const { packed, same } = models([24, 40]);
      const ours = logitsOf(packed, options);
      expect(ours.expertBytes).toBe((34 / 32) * EXPERT);
      expect(ours).toEqual(logitsOf(same, { ...options, quantize: 'q8_0' }));
      const { logits } = logitsOf(same, { ...options, dtype: 'f32' });
      expect(nmse(Float32Array.from(ours.logits), Float32Array.from(logits))).toBeLessThan(LARGEST_NMSE);
    },
  );

  it('becomes blocks as it was published: those of --quantize do not come of Q8_0', () => {
    const { packed, same } = models([24, 40]);
    const options: LoadOptions = { accelerator: 'none', quantize: 'mxfp4' };
    const ours = logitsOf(packed, options);
    expect(ours).toEqual(logitsOf(same, options));
    expect(ours.expertBytes).toBe((17 / 32) * EXPERT);
  });

  it('says in what its experts are held, and is planned so', () => {
    const { packed, same } = models([24, 40]);
    const lines = (dir: string, dtype: LoadOptions['dtype']) => {
      const said: string[] = [];
      logitsOf(dir, { accelerator: 'none', dtype, onWarning: (line) => said.push(line) });
      return said.filter((line) => line.includes('FP8'));
    };
    expect(lines(packed, 'auto')).toEqual([expect.stringContaining('held as Q8_0')]);
    expect(lines(packed, 'f32')).toEqual([]);
    expect(lines(same, 'auto')).toEqual([]);
    const layout = layOut(folderSource(packed), { accelerator: 'none' }, { countsOnly: true });
    expect(typesLine(layout.blueprint)).toBe('Q8_0');
    expect(expertTotals(layout.blueprint).bytes).toBe((34 / 32) * EXPERT);
    layout.close();
  });

  it('stays bf16 where no block divides its rows', () => {
    const { packed, same } = models([24, 40], 24);
    const ours = logitsOf(packed, { accelerator: 'none' });
    expect(ours).toEqual(logitsOf(same, { accelerator: 'none', quantize: 'q8_0' }));
    const [wide, narrow] = [2 * config.hidden_size * 24, config.hidden_size * 24]; // gate and up; down
    expect(ours.expertBytes).toBe((34 / 32) * wide + 2 * narrow);
  });

  it('is near what it was quantized from, with blocks as published', () => {
    const { logits } = logitsOf(models([128, 128]).packed, { accelerator: 'none', dtype: 'f32' });
    const expected = golden.cases[0]!.logits;
    const error = nmse(Float32Array.from(logits), Float32Array.from(expected));
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.05);
  });
});
