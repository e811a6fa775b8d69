import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readGolden } from '../../bench/golden-data.js';
import { loadEngine } from '../../src/engine/load.js';
import type { Workbench } from '../../src/engine/workbench.js';
import { layOut } from '../../src/loading/layout.js';
import { syntheticSource } from '../../src/loading/synthetic.js';
import type { Report } from '../../src/report.js';
import { temporaryFolder } from '../support/folder.js';
import { readTensors } from '../support/model.js';
import { writeSafetensors } from '../support/safetensors.js';
import { sameAsAlone } from './batching.js';
import { generate, loadRecurrent, RECURRENT, tokensOf } from './recurrent.js';

describe.each(RECURRENT)('%s', (name) => {
  it('gives the same whether a prompt is computed in one call, in chunks, or token by token', () => {
    const { cases, deviation } = readGolden('test/golden', 'models', name);
    const { tokens, logits } = cases[0]!;
    for (const chunk of [tokens.length, 1, 7, 64]) {
      const session = loadRecurrent(name, { accelerator: 'none', chunk });
      try {
        const { vocabulary } = session.info;
        const compare = (position: number, found: Float32Array) => {
          const expected = logits.subarray(position * vocabulary, (position + 1) * vocabulary);
          const largest = found.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
          expect(largest, `${position} in calls of ${chunk}`).toBeLessThan(1e-3 * Math.min(1, deviation));
        };
        session.evaluate(tokens, () => false, compare);
      } finally {
        session.close();
      }
    }
  });

  it.each(['none', 'host'] as const)('gives each of several sequences what it gives alone on %s', (accelerator) => {
    sameAsAlone({ accelerator, model: `test/golden/${name}`, runs: 8, shared: 60, options: { ctx: 160 } });
  });
});

describe('a model whose convolutions are as long as they may be', () => {
  it.each(RECURRENT)('is loaded for many sequences, which need not be neighbours: %s', (name) => {
    const kernel = 16;
    const dir = temporaryFolder();
    const from = `test/golden/${name}`;
    const keys = {
      conv_L_cache: kernel,
      linear_conv_kernel_dim: kernel,
      mamba_d_conv: kernel,
      conv_kernel: kernel,
      ple_conv_kernel_size: kernel,
    };
    const config = JSON.parse(readFileSync(join(from, 'config.json'), 'utf8'));
    const text = config.text_config && { text_config: { ...config.text_config, ...keys } };
    writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, ...keys, ...text }));
    const tensors = readTensors(join(from, 'model.safetensors')).map((tensor) => {
      const [channels, ones, taps] = tensor.shape;
      if (ones !== 1 || taps === undefined || tensor.shape.length !== 3) return tensor;
      const data = new Uint8Array((tensor.data.length / taps) * kernel);
      return { ...tensor, shape: [channels!, 1, kernel], data };
    });
    writeSafetensors(join(dir, 'model.safetensors'), tensors);
    const options = { dtype: 'f32', ctx: 128, threads: 1, profile: false, accelerator: 'none' } as const;
    const session = loadEngine(dir, { ...options, sequences: 12 });
    try {
      expect(session.info.sequences).toBe(12);
    } finally {
      session.close();
    }
  });
});

describe('a conversation with a recurrent model', () => {
  let session: Workbench;
  let fresh: Workbench;
  beforeAll(() => {
    session = loadRecurrent('qwen3_next', { accelerator: 'host', sequences: 2, expertsResident: 0.5 });
    fresh = loadRecurrent('qwen3_next', { accelerator: 'host', expertsResident: 0.5 });
  });
  afterAll(() => {
    session.close();
    fresh.close();
  });

  /** Generates, and compares with what an empty cache gives. @returns tokens that were not computed, and the answer */
  function answer(prompt: readonly number[]): { cached: number; tokens: number[] } {
    const { tokens, likeliest, report } = generate(session, prompt);
    fresh.forgetSequences();
    const alone = generate(fresh, prompt);
    expect(tokens).toEqual(alone.tokens);
    for (const [i, logprob] of likeliest.entries()) expect(logprob).toBeCloseTo(alone.likeliest[i]!, 5);
    return { cached: report.cachedTokens, tokens };
  }

  it('computes only what is new of a request that goes on from the answer', () => {
    session.forgetSequences();
    const prompt = tokensOf(60, 1);
    const first = answer(prompt);
    expect(first.cached).toBe(0);
    const history = [...prompt, ...first.tokens];
    expect(answer([...history, ...tokensOf(10, 2)]).cached).toBe(history.length - 1); // the last token was not computed
  });

  it('goes on from the end of the prompt where the answer is another in the history', () => {
    session.forgetSequences();
    const prompt = tokensOf(60, 3);
    answer(prompt);
    expect(answer([...prompt, ...tokensOf(12, 4)]).cached).toBe(52);
    expect(answer([...prompt, ...tokensOf(12, 5)]).cached).toBe(52);
  });

  it('goes on from where requests part, once one did', () => {
    session.forgetSequences();
    const system = tokensOf(70, 6);
    const request = (seed: number) => [...system, ...tokensOf(40, seed)];
    expect(answer(request(7)).cached).toBe(0);
    expect(answer(request(8)).cached).toBe(0);
    expect(answer(request(9)).cached).toBe(70);
    expect(answer(request(10)).cached).toBe(70);
  });

  it('computes once what requests begin with that come at once', () => {
    session.forgetSequences();
    const system = tokensOf(70, 12);
    const requests = [13, 14].map((seed) => [...system, ...tokensOf(40, seed)]);
    const options = { temperature: 0, maxTokens: 5, ignoreEnd: true };
    const answers = requests.map((prompt) => {
      const tokens: number[] = [];
      const ended: { tokens: number[]; report?: Report } = { tokens };
      const onToken = (token: number) => tokens.push(token) < 0;
      session.begin({ prompt, options, onToken, cancelled: () => false }, (outcome) => Object.assign(ended, outcome));
      return ended;
    });
    while (session.advance());
    expect(answers.map(({ report }) => report!.cachedTokens)).toEqual([0, 70]);
    for (const [i, { tokens }] of answers.entries()) {
      fresh.forgetSequences();
      expect(tokens).toEqual(generate(fresh, requests[i]!).tokens);
    }
  });

  it('goes on from the end of the prompt after its answer was cancelled', () => {
    session.forgetSequences();
    const prompt = tokensOf(60, 11);
    expect(generate(session, prompt, 5, 2).report.finish).toBe('aborted');
    expect(answer(prompt).cached).toBe(52);
  });

  it('keeps states of as many bytes for a long context as for a short one', () => {
    const taken = (ctx: number) => {
      const source = syntheticSource('qwen3-next-80b-a3b', { layers: 8, empty: true });
      const layout = layOut(source, { accelerator: 'host', ctx, threads: 1 }, { countsOnly: true });
      const { taken } = layout.machine.accelerator;
      layout.close();
      return { states: taken.get('recurrent states')!, rows: taken.get('the KV cache')! };
    };
    const [short, long] = [taken(1000), taken(100_000)];
    const convolved = 3 * (2 * 16 + 32) * 128;
    const each = 6 * (32 * 128 * 128 + convolved) * 4;
    expect(short.states).toBe(3 * each);
    expect(long.states).toBe(short.states);
    expect(long.rows).toBe(2 * 2 * 2 * 256 * 4 * 256 * Math.ceil(100_000 / 256));
  });
});
