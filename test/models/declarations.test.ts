import { readFileSync } from 'node:fs';
import { expect, it, describe as suite } from 'vitest';
import { describe } from '../../src/loading/blueprint.js';
import { Declarations } from '../../src/models/parameters.js';
import { fiddlerError } from '../support/errors.js';
import { SMALL_MODEL } from '../support/model.js';

const config = JSON.parse(readFileSync(`${SMALL_MODEL}/config.json`, 'utf8'));
const source = (num_hidden_layers: number) => ({
  ...{ name: 'm', inMemory: false, tokenizer: false, config: { ...config, num_hidden_layers } },
  open: () => expect.fail('it is not opened'),
});

suite('a config of many layers', () => {
  it('is described in a time that grows with their number', () => {
    const begin = process.cpuUsage().user;
    expect(describe(source(8000)).spec.layers).toHaveLength(8000);
    expect(process.cpuUsage().user - begin).toBeLessThan(3e6); // 29 s where each declaration looked through all
  });

  it('is refused where no model has so many', () => {
    expect(fiddlerError('unsupported', () => describe(source(3_000_000)))).toContain('more than 100000 tensors');
  });

  it('is refused so, too, where layers slide by turns', () => {
    const { layer_types, ...sliding } = JSON.parse(readFileSync('test/golden/gpt_oss/config.json', 'utf8'));
    const most = { ...sliding, num_hidden_layers: 2 ** 31 - 1 };
    const message = fiddlerError('unsupported', () => describe({ ...source(1), config: most }));
    expect(message).toContain('more than 100000 tensors');
  });
});

suite('a config of many heads', () => {
  it('is refused where each has a bias by distance that is read at once', () => {
    const { text_config: _, ...all } = JSON.parse(readFileSync('test/golden/switch/config.json', 'utf8'));
    const many = { ...source(1), config: { ...all, num_heads: 12_000_000 } };
    expect(fiddlerError('unsupported', () => describe(many))).toContain(
      'relative_attention_bias.weight with 384000000 numbers',
    );
  });
});

suite('a config of many n-grams', () => {
  it('is refused where the sizes of their tables take long to find', () => {
    const golden = JSON.parse(readFileSync('test/golden/qwen4_exp/config.json', 'utf8'));
    const most = { ngram_size: 16, heads_per_ngram: 1024, ple_embed_dim: 15_360, ngram_vocab_size_base: 2 ** 30 };
    const many = { ...source(1), config: { ...golden, text_config: { ...golden.text_config, ...most } } };
    expect(fiddlerError('unsupported', () => describe(many))).toContain('leads to 15360 primes');
  });
});

suite('a config whose scaling of positions has a wrong kind', () => {
  it('is an error of the file', () => {
    const yarn = JSON.parse(readFileSync('test/golden/deepseek_v3-yarn/config.json', 'utf8'));
    const scaling = yarn.rope_parameters ? 'rope_parameters' : 'rope_scaling';
    const wrong = { ...yarn, [scaling]: { ...yarn[scaling], factor: true } };
    const message = fiddlerError('file', () => describe({ ...source(1), config: wrong }));
    expect(message).toMatch(/expected number.*rope_\w+.factor/);
  });
});

suite('declarations', () => {
  it('are one where they are the same tensor in the same precision', () => {
    const declare = new Declarations();
    const groups = { count: 2, from: 0, rows: 1, transposed: false };
    const first = declare.matrix('a', 4, 2);
    expect(declare.matrix('a', 4, 2)).toBe(first);
    const others = [declare.exactMatrix('a', 4, 2), declare.rowGroups('a', 4, 2, groups), declare.matrix('b', 4, 2)];
    expect(new Set([first, ...others]).size).toBe(4);
    expect(declare.parameters).toEqual([first, ...others]);
  });
});
