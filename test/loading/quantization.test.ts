import { appendFileSync, readdirSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { loadEngine } from '../../src/engine/load.js';
import { layOut } from '../../src/loading/layout.js';
import { folderSource } from '../../src/loading/source.js';
import { Type } from '../../src/native/ggml/tensor.js';
import { type LoadOptions, QUANTIZED_TYPES } from '../../src/options.js';
import { logitsOf, nmse } from '../models/gguf-logits.js';
import { dequantizedModel } from '../support/dequantized.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { quantize as toFp8 } from '../support/fp8.js';
import { quantize } from '../support/llama.js';
import { changedModel, changeTensor, SMALL_MODEL } from '../support/model.js';
import { MIXTRAL_WIDE } from '../support/wide.js';

prepareEnvironment({ dtype: 'f32' });

/** In the stored type, as of GGUF files. */
const LARGEST_NMSE = 3e-4;
const BUNDLED = 'models/mini-mixtral';
const HALF: LoadOptions = { accelerator: 'host', expertsResident: 0.5, policy: 'lru' };

/** An own cache folder, which is empty. */
function emptyCache(): string {
  const folder = temporaryFolder();
  vi.stubEnv('FIDDLER_CACHE', folder);
  return join(folder, 'quantized');
}

describe('experts quantized when a model is loaded', () => {
  it.each(
    QUANTIZED_TYPES.flatMap((type) => [SMALL_MODEL, 'test/golden/qwen3_moe'].map((dir) => ({ type, dir }))).concat(
      // Of other types one of its routers nearly ties on these tokens: quantized-routers.test.ts.
      { type: 'q4_k', dir: BUNDLED },
      { type: 'q8_0', dir: BUNDLED },
    ),
  )('to $type give the logits of their dequantized numbers: $dir', ({ type, dir }) => {
    const reference = dequantizedModel(dir, Type[type.toUpperCase() as keyof typeof Type]);
    const expected = logitsOf(reference, { dtype: 'f32' });
    expect(nmse(logitsOf(dir, { quantize: type }), expected)).toBeLessThan(LARGEST_NMSE);
    expect(nmse(logitsOf(dir, { quantize: type, ...HALF }), expected)).toBeLessThan(LARGEST_NMSE);
  });

  it.each([
    ['q4_k', 'Q4_K_M', Type.Q4_K],
    ['q5_k', 'Q5_K_M', Type.Q5_K],
    ['q6_k', 'Q6_K', Type.Q6_K],
    ['q8_0', 'Q8_0', Type.Q8_0],
  ] as const)('with all else to %s are what llama.cpp makes of the model', (type, fileType, number) => {
    const file = join(temporaryFolder(), 'quantized.gguf');
    const same = { pure: true, output_tensor_type: number, token_embedding_type: Type.BF16 };
    quantize(MIXTRAL_WIDE, file, fileType, false, same);
    const found = logitsOf(MIXTRAL_WIDE, { quantize: `${type}:all` });
    expect(nmse(found, logitsOf(file, { dtype: 'f32' }))).toBeLessThan(LARGEST_NMSE);
    expect(found).toEqual(logitsOf(file));
  });

  it('become blocks from FP8 and from packed pairs of gate and up, transposed', () => {
    const names = /\.experts\..*weight$/;
    let [packed, same] = [SMALL_MODEL, SMALL_MODEL];
    const config = { quantization_config: { quant_method: 'fp8', weight_block_size: [32, 32] } };
    packed = changedModel({
      config,
      tensors: (all) => all.flatMap((t) => (names.test(t.name) ? toFp8(t, [32, 32]).packed : t)),
    });
    same = changedModel({ tensors: (all) => all.map((t) => (names.test(t.name) ? toFp8(t, [32, 32]).same : t)) });
    expect(logitsOf(packed, { quantize: 'q8_0' })).toEqual(logitsOf(same, { quantize: 'q8_0' }));
    const plain = logitsOf('test/golden/gpt_oss', { dtype: 'f32' });
    expect(nmse(logitsOf('test/golden/gpt_oss', { quantize: 'q8_0:all' }), plain)).toBeLessThan(1e-3);
  });

  it('are refused where nothing is to be quantized, or numbers are none', () => {
    const load = (dir: string, options: LoadOptions) => fiddlerError('usage', () => logitsOf(dir, options));
    expect(load('test/golden/gpt_oss-mxfp4', { quantize: 'q4_k' })).toContain('the experts are MXFP4');
    expect(load(SMALL_MODEL, { quantize: 'q4_k', dtype: 'f32' })).toContain('--dtype f32');
    expect(load(SMALL_MODEL, { keep: true })).toContain('--keep');
    const broken = changedModel({
      tensors: changeTensor('model.layers.1.block_sparse_moe.experts.2.w2.weight', (tensor) => {
        new Uint16Array(tensor.data.buffer, tensor.data.byteOffset, 8)[5] = 0x7f80;
        return tensor;
      }),
    });
    expect(fiddlerError('file', () => logitsOf(broken, { quantize: 'q4_k' }))).toContain('infinite');
  });

  it('say which rows no block of the wanted type divides', () => {
    const lines: string[] = [];
    const line = 'Q4_K has blocks of 256: rows of 192 numbers are Q5_0';
    logitsOf(BUNDLED, { quantize: 'q4_k', onWarning: (line) => lines.push(line) });
    expect(lines).toContain(line);
  });
});

describe('kept', () => {
  it.each([
    { quantize: 'q4_k', dir: BUNDLED },
    { quantize: 'mxfp4:all', dir: BUNDLED },
    { quantize: 'q8_0:all', dir: 'test/golden/gpt_oss' },
    { quantize: 'q8_0:all', dir: 'test/golden/deepseek_v3' },
  ] as const)('$quantize of $dir gives what the same in RAM gives, made once', ({ quantize, dir }) => {
    const folder = emptyCache();
    const inRam = logitsOf(dir, { quantize });
    expect(logitsOf(dir, { quantize, keep: true })).toEqual(inRam);
    const [file, ...others] = readdirSync(folder);
    expect(others).toEqual([]);
    const made = statSync(join(folder, file!));
    expect(logitsOf(dir, { quantize, keep: true })).toEqual(inRam);
    const { ino, mtimeMs } = statSync(join(folder, file!));
    expect({ ino, mtimeMs }).toEqual({ ino: made.ino, mtimeMs: made.mtimeMs });
    expect(logitsOf(dir, { quantize, keep: true, ...HALF })).toEqual(logitsOf(dir, { quantize, ...HALF }));
  });

  it('is mapped: experts are computed where they lie', () => {
    emptyCache();
    const copied = (options: LoadOptions) => {
      const layout = layOut(folderSource(BUNDLED), { accelerator: 'none', quantize: 'q8_0', ...options });
      const copies = layout.blueprint.expertLayers.map((_, l) => layout.host.mustCopy(l));
      layout.close();
      return copies;
    };
    expect(new Set(copied({ keep: true }))).toEqual(new Set([true]));
    logitsOf(BUNDLED, { quantize: 'q8_0', keep: true });
    expect(new Set(copied({ keep: true }))).toEqual(new Set([false]));
    expect(new Set(copied({}))).toEqual(new Set([true]));
  });

  it('counts as missing where it is cut, longer, damaged in its header, or of a model that changed since', () => {
    const folder = emptyCache();
    const dir = changedModel({});
    const options: LoadOptions = { quantize: 'q8_0', keep: true };
    const expected = logitsOf(dir, options);
    const [name] = readdirSync(folder);
    const file = join(folder, name!);
    const whole = readFileSync(file);
    const again = () => {
      expect(logitsOf(dir, options)).toEqual(expected);
      expect(readFileSync(file).equals(whole)).toBe(true);
    };
    truncateSync(file, whole.length - 1);
    again();
    truncateSync(file, whole.length + 1);
    again();
    truncateSync(file, 100);
    again();
    for (const at of [0, 8, 60, 200, 500]) {
      writeFileSync(
        file,
        whole.map((byte, i) => (i === at ? byte ^ 0x10 : byte)),
      );
      again();
    }
    writeFileSync(file, '');
    again();
    const changed = changedModel({
      tensors: changeTensor('model.layers.0.block_sparse_moe.experts.0.w1.weight', (tensor) => ({
        ...tensor,
        data: tensor.data.map((byte) => byte ^ 1),
      })),
    });
    writeFileSync(join(dir, 'model.safetensors'), readFileSync(join(changed, 'model.safetensors')));
    utimesSync(join(dir, 'model.safetensors'), 1e9, 1e9);
    expect(logitsOf(dir, options)).toEqual(logitsOf(dir, { quantize: 'q8_0' }));
    expect(readdirSync(folder).length).toBe(2);
  });

  it('leaves nothing of a file that was not finished, and writes over what another process left', () => {
    const folder = emptyCache();
    const stop = new Error('stop');
    const options = {
      accelerator: 'none',
      quantize: 'q8_0',
      keep: true,
      onProgress: () => {
        throw stop;
      },
    } as const;
    expect(() => loadEngine(SMALL_MODEL, options)).toThrow('stop');
    expect(readdirSync(folder)).toEqual([]);
    appendFileSync(join(folder, 'left.gguf.partial'), 'x');
    expect(logitsOf(SMALL_MODEL, { quantize: 'q8_0', keep: true })).toEqual(
      logitsOf(SMALL_MODEL, { quantize: 'q8_0' }),
    );
  });
});
