import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { LoadOptions } from '../../src/options.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { quantize } from '../support/fp8.js';
import { fuseExperts } from '../support/fused.js';
import { readTensors } from '../support/model.js';
import { type TensorToWrite, writeSafetensors } from '../support/safetensors.js';

/** What transformers 5 calls parts of names, by family. */
const MODULES: Readonly<Record<string, [from: string, to: string][]>> = {
  mixtral: [['.block_sparse_moe.', '.mlp.']],
  phimoe: [
    ['.block_sparse_moe.gate.', '.mlp.router.'],
    ['.block_sparse_moe.', '.mlp.'],
  ],
  ernie4_5_moe: [['.mlp.moe_statics.', '.mlp.gate.moe_statics.']],
};

const FAMILIES = [
  ...['qwen2_moe', 'qwen3_moe', 'olmoe', 'glm4_moe', 'deepseek_moe', 'deepseek_v2', 'deepseek_v3'],
  ...Object.keys(MODULES),
];

/** Each matrix of a tensor [count, rows, columns] in FP8, and the same numbers in bf16. */
function quantizeEach(tensor: TensorToWrite, block: readonly [number, number]) {
  const [count, ...shape] = tensor.shape as [number, number, number];
  const bytes = tensor.data.length / count;
  const each = Array.from({ length: count }, (_, e) =>
    quantize({ ...tensor, shape, data: tensor.data.slice(e * bytes, (e + 1) * bytes) }, block),
  );
  const joined = (all: TensorToWrite[]): TensorToWrite => {
    return { ...all[0]!, shape: [count, ...all[0]!.shape], data: Buffer.concat(all.map(({ data }) => data)) };
  };
  return {
    packed: [joined(each.map(({ packed }) => packed[0]!)), joined(each.map(({ packed }) => packed[1]!))],
    same: joined(each.map(({ same }) => same)),
  };
}

type Change = (tensors: TensorToWrite[]) => TensorToWrite[];

/** A golden model with other tensors. */
function changed(family: string, change: Change): string {
  const [from, dir] = [join('test/golden', family), temporaryFolder()];
  cpSync(join(from, 'config.json'), join(dir, 'config.json'));
  const file = join(dir, 'model.safetensors');
  writeSafetensors(file, change(readTensors(join(from, 'model.safetensors'))));
  return dir;
}

function fused(family: string, transposed: boolean): string {
  const rename = (name: string) => (MODULES[family] ?? []).reduce((n, [from, to]) => n.replace(from, to), name);
  const names: Change = (tensors) => tensors.map((tensor) => ({ ...tensor, name: rename(tensor.name) }));
  return changed(family, (tensors) => names(fuseExperts(tensors, transposed)));
}

function logitsOf(dir: string, options: LoadOptions): number[] {
  const session = loadEngine(dir, { ctx: 64, threads: 1, policy: 'static', ...options });
  try {
    const logits: number[] = [];
    const tokens = [1, 5, 17, 80, 3, 9, 44, 2, 61, 30, 7, 7];
    session.evaluate(
      tokens,
      () => false,
      (_, row) => logits.push(...row),
    );
    return logits;
  } finally {
    session.close();
    rmSync(dir, { recursive: true });
  }
}

describe('experts that are stored fused', () => {
  it.each(FAMILIES)('compute what they do one by one: %s', (family) => {
    const published = () => changed(family, (tensors) => tensors);
    for (const options of [{ accelerator: 'none' }, { accelerator: 'host', expertsResident: 0.5 }] as LoadOptions[]) {
      const expected = logitsOf(published(), options);
      expect(logitsOf(fused(family, false), options)).toEqual(expected);
      expect(logitsOf(fused(family, true), options)).toEqual(expected);
    }
  });

  it('compute in FP8 what the same numbers do, in blocks and in float32', () => {
    const block = [24, 40] as const;
    const parts = (t: TensorToWrite) =>
      /experts\.\w+$/.test(t.name) ? quantizeEach(t, block) : { packed: [t], same: t };
    const of = (change: Change) => changed('olmoe', (tensors) => change(fuseExperts(tensors, false)));
    const quantization_config = { quant_method: 'fp8', fmt: 'e4m3', weight_block_size: block };
    const packed = () => {
      const dir = of((tensors) => tensors.flatMap((t) => parts(t).packed));
      const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8'));
      writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, quantization_config }));
      return dir;
    };
    const same = () => of((tensors) => tensors.map((t) => parts(t).same));
    const on = { accelerator: 'none' } as const;
    expect(logitsOf(packed(), on)).toEqual(logitsOf(same(), { ...on, quantize: 'q8_0' }));
    expect(logitsOf(packed(), { ...on, dtype: 'f32' })).toEqual(logitsOf(same(), { ...on, dtype: 'f32' }));
  });

  it('are named where their shape is not the config’s', () => {
    const narrow: Change = (tensors) =>
      fuseExperts(tensors, false).map((t) =>
        /layers\.1.*down_proj$/.test(t.name) ? { ...t, shape: [16, 16, 128] } : t,
      );
    const dir = changed('olmoe', narrow);
    const message = fiddlerError('file', () => loadEngine(dir, { accelerator: 'none' }));
    expect(message).toContain('model.layers.1.mlp.experts.down_proj has shape [16,16,128]');
    expect(message).toContain('[16,64,32]');
  });
});
