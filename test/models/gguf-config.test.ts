import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { GgufToWrite } from '../../bench/gguf-writer.js';
import { openWeights } from '../../src/loading/layout.js';
import { folderSource } from '../../src/loading/source.js';
import { writeConverted } from '../support/converted.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { type readGguf, rewrite, setNumber } from '../support/rewritten.js';

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

describe('a GGUF file is refused', () => {
  const opened = (change: (file: ReturnType<typeof readGguf>) => GgufToWrite) => () => {
    const dir = temporaryFolder();
    const [original, changed] = [join(dir, 'original.gguf'), join(dir, 'changed.gguf')];
    writeConverted('mixtral', original);
    rewrite(original, changed, change);
    openWeights(folderSource(changed), {}).checkpoint.close();
  };

  it('where it has tensors of more layers than it says', () => {
    opened((file) => file)();
    const fewer = opened((file) => {
      setNumber(file.keys.bytes, 'llama.block_count', 1);
      return file;
    });
    expect(fiddlerError('unsupported', fewer)).toMatch(/tensor "blk\.1\.\w+\.weight" is behind all 1 layers/);
  });

  it('where its tokens are not as many as rows of its embedding', () => {
    const tokens = (count: number) => ({ kind: 'array', of: 'string', value: Array(count).fill('a') }) as const;
    const two = opened((file) => ({ ...file, metadata: { 'tokenizer.ggml.tokens': tokens(2) } }));
    expect(fiddlerError('file', two)).toMatch(/its tokenizer has 2 tokens, but its embedding \d+ rows/);
  });

  it('where a type is of another program, with the types that there are', () => {
    const foreign = opened((file) => {
      const tensors = file.tensors.map((each) =>
        each.name.endsWith('up_exps.weight') ? { ...each, type: 139 } : each,
      );
      return { ...file, tensors };
    });
    expect(fiddlerError('unsupported', foreign)).toMatch(/has type "IQ4_K \(ik_llama\.cpp\)"; .*Q4_K.*IQ4_NL/);
  });

  it('where a number makes no sense, by the name of the file', () => {
    const none = opened((file) => {
      setNumber(file.keys.bytes, 'llama.expert_used_count', 0);
      return file;
    });
    expect(fiddlerError('file', none)).toMatch(/changed\.gguf, as config\.json: .* in num_experts_per_tok/);
    const many = opened((file) => {
      setNumber(file.keys.bytes, 'llama.expert_used_count', 99);
      return file;
    });
    expect(fiddlerError('unsupported', many)).toMatch(/changed\.gguf, as config\.json: the number of experts/);
  });

  it('where its folder has only later parts', () => {
    const dir = temporaryFolder();
    writeFileSync(join(dir, 'm-00002-of-00002.gguf'), '');
    const message = fiddlerError('file', () => folderSource(dir));
    expect(message).toContain('holds m-00002-of-00002.gguf, but not the first part');
  });
});

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
