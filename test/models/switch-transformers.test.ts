import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readGolden } from '../../bench/golden-data.js';
import { loadEngine } from '../../src/engine/load.js';
import { familyOf } from '../../src/models/index.js';
import { type LayerSpec, layersOf } from '../../src/models/model.js';
import { Declarations } from '../../src/models/parameters.js';
import { PUBLISHED } from '../../src/models/published/index.js';
import type { JsonObject } from '../../src/weights/config.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { naiveSwitch } from './naive-switch.js';

const DIR = 'test/golden/switch';
const CONFIG = JSON.parse(readFileSync(join(DIR, 'config.json'), 'utf8'));

function describeModel(config: JsonObject) {
  const declare = new Declarations();
  return { spec: familyOf(config).describe(config, declare), declare };
}

const sparse = (layers: readonly LayerSpec[]) => layers.flatMap(({ moe }, l) => (moe ? [l] : []));

/** A copy of the model whose experts take `capacity` tokens of a call. */
function withCapacity(capacity: number): string {
  const dir = temporaryFolder();
  cpSync(DIR, dir, { recursive: true });
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...CONFIG, expert_capacity: capacity }));
  return dir;
}

/** The largest difference of a logit from the naive computation, and how many tokens that left out. */
function compare(capacity: number, source: readonly number[], tokens: readonly number[]) {
  const session = loadEngine(withCapacity(capacity), { accelerator: 'host', dtype: 'f32', threads: 1 });
  const naive = naiveSwitch(join(DIR, 'model.safetensors'), CONFIG);
  try {
    const expected = naive.logits(source, tokens, capacity);
    let largest = 0;
    const collect = (position: number, logits: Float32Array) => {
      for (const [i, value] of expected[position]!.entries()) {
        largest = Math.max(largest, Math.abs(value - logits[i]!));
      }
    };
    session.evaluate(tokens, () => false, collect, source);
    return { largest, dropped: naive.dropped };
  } finally {
    session.close();
  }
}

const random = (count: number, seed: number) =>
  Array.from(
    { length: count },
    (_, i) => 2 + Math.floor(Math.abs(Math.sin((i + 1) * 12.9898 * seed) * 43758.5453) % 318),
  );

describe('logits of Switch Transformers', () => {
  it('are those of the naive computation, which are the published ones', () => {
    const [golden] = readGolden('test/golden', 'models', 'switch').cases;
    const naive = naiveSwitch(join(DIR, 'model.safetensors'), CONFIG)
      .logits(golden!.source!, golden!.tokens, 64)
      .flat();
    expect(Math.max(...naive.map((v, i) => Math.abs(v - golden!.logits[i]!)))).toBeLessThan(1e-5);
  });

  it.each([1, 3, 8])('leave out tokens beyond %i of an expert, in the order of the text', (capacity) => {
    const { largest, dropped } = compare(capacity, random(100, 1), random(20, 2));
    expect(dropped).toBeGreaterThan(30 / capacity);
    expect(largest).toBeLessThan(1e-3);
  });

  it('are the same for a long text that leaves nothing out', () => {
    const { largest, dropped } = compare(200, random(150, 3), random(5, 4));
    expect(dropped).toBe(0);
    expect(largest).toBeLessThan(1e-3);
  });
});

describe('layers of Switch Transformers', () => {
  it('are sparse from the second on, a step apart', () => {
    const { spec } = describeModel(CONFIG);
    expect([spec.encoder!.layers, spec.layers].map(sparse)).toEqual([
      [1, 3],
      [1, 3],
    ]);
    const steps = describeModel({ ...CONFIG, num_layers: 7, encoder_sparse_step: 3, decoder_sparse_step: 1 }).spec;
    expect([steps.encoder!.layers, steps.layers].map(sparse)).toEqual([
      [1, 4],
      [0, 1, 2, 3],
    ]);
  });

  it('follow from the number of sparse ones where no step is given', () => {
    const { encoder_sparse_step, decoder_sparse_step, ...config } = CONFIG;
    expect([encoder_sparse_step, decoder_sparse_step]).toEqual([2, 2]);
    const { spec } = describeModel({ ...config, num_sparse_encoder_layers: 1, num_sparse_decoder_layers: 0 });
    expect([spec.encoder!.layers, spec.layers].map(sparse)).toEqual([[1], []]);
  });

  it('attend to the encoder in the decoder alone', () => {
    const { spec } = describeModel(CONFIG);
    expect(layersOf(spec).map(({ cross }) => cross !== undefined)).toEqual([
      ...Array(4).fill(false),
      ...Array(4).fill(true),
    ]);
  });

  it('have the published shapes', () => {
    for (const experts of [8, 16, 32, 64, 128, 256]) {
      const { spec } = describeModel(PUBLISHED[`switch-base-${experts}`]!);
      const all = layersOf(spec).flatMap(({ moe }) => (moe ? [moe.experts] : []));
      expect(all).toHaveLength(12);
      expect(all[0]).toMatchObject({ count: experts, chosen: 1, hidden: 768, width: 3072, activation: 'relu' });
    }
  });

  it('have a head of their own where it is not tied', () => {
    const names = (config: JsonObject) => describeModel(config).declare.parameters.map(({ name }) => name);
    expect(names(CONFIG)).not.toContain('lm_head.weight');
    expect(names({ ...CONFIG, tie_word_embeddings: false })).toContain('lm_head.weight');
  });
});

describe('a config of Switch Transformers that would be run wrongly', () => {
  const wrong: [key: string, value: unknown][] = [
    ['dense_act_fn', 'gelu'],
    ['feed_forward_proj', 'gated-gelu'],
    ['is_gated_act', true],
    ['is_encoder_decoder', false],
    ['router_bias', true],
    ['router_dtype', 'bfloat16'],
    ['relative_attention_num_buckets', 6],
    ['relative_attention_max_distance', 16],
    ['decoder_start_token_id', 320],
  ];
  it.each(wrong)('is refused: %s %j', (key, value) => {
    expect(fiddlerError('unsupported', () => describeModel({ ...CONFIG, [key]: value }))).toContain(key);
  });

  it('is an error of the file without a start token', () => {
    const { decoder_start_token_id, ...config } = CONFIG;
    expect(decoder_start_token_id).toBe(0);
    expect(fiddlerError('file', () => describeModel(config))).toContain('decoder_start_token_id');
  });

  it('is refused without any layer with experts', () => {
    const config = { ...CONFIG, encoder_sparse_step: 0, decoder_sparse_step: 0 };
    expect(fiddlerError('unsupported', () => describeModel(config))).toContain('num_sparse_encoder_layers');
  });
});
