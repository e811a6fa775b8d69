import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderSource } from '../../src/loading/source.js';
import { writeConverted } from '../support/converted.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { rewrite, setNumber } from '../support/rewritten.js';

/** The config of a golden model's file, changed. */
function configOf(name: string, change: (keys: Buffer) => void = () => {}) {
  const dir = temporaryFolder();
  const [original, changed] = [join(dir, 'original.gguf'), join(dir, 'changed.gguf')];
  writeConverted(name, original);
  rewrite(original, changed, (file) => {
    change(file.keys.bytes);
    return file;
  });
  return folderSource(changed).config;
}

const bits = (value: number) => new Uint32Array(new Float32Array([value]).buffer)[0]!;

describe('what config.json would say, by a GGUF file', () => {
  it('has no more layers than there are tensors', () => {
    const text = fiddlerError('unsupported', () =>
      configOf('mixtral', (keys) => setNumber(keys, 'llama.block_count', 2 ** 31)),
    );
    expect(text).toMatch(/llama\.block_count leaves 2147483648 layers, but there are \d+ tensors/);
  });

  it('takes no more numbers from a tensor than any model has there', () => {
    const factors = (count: number) => {
      const dir = temporaryFolder();
      const [original, changed] = [join(dir, 'original.gguf'), join(dir, 'changed.gguf')];
      writeConverted('phimoe-longrope-short', original);
      rewrite(original, changed, (file) => {
        const short = file.tensors.find(({ name }) => name === 'rope_factors_short.weight')!;
        Object.assign(short, { ne: [count], data: Buffer.alloc(count * 4) });
        return file;
      });
      return folderSource(changed).config;
    };
    expect(fiddlerError('unsupported', () => factors(65_537))).toContain('rope_factors_short.weight has 65537 numbers');
    expect(factors(65_536)).toMatchObject({ model_type: 'phimoe' });
  });

  it('has the magnitude of Phi-3.5-MoE, where the converter wrote that of Phi-3', () => {
    const magnitude = (written: number) =>
      configOf('phimoe-longrope-short', (keys) => setNumber(keys, 'phimoe.rope.scaling.attn_factor', bits(written)));
    const ofPhi3 = Math.sqrt(1 + Math.log(256 / 32) / Math.log(32));
    expect(magnitude(ofPhi3)).toMatchObject({ rope_scaling: { attention_factor: 1.243163121016122 } });
    expect(magnitude(1.5)).toMatchObject({ rope_scaling: { attention_factor: 1.5 } });
  });

  it('has how queries of Mistral Small 4 grow, which files do not say', () => {
    expect(configOf('mistral4')).toMatchObject({ rope_parameters: { llama_4_scaling_beta: 0.1 } });
  });
});
