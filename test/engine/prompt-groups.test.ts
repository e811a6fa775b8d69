import { afterEach, expect, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { loadEngine } from '../../src/engine/load.js';
import { AT_ONCE } from '../../src/experts/lanes/group-order.js';
import { Backend } from '../../src/native/ggml/backend.js';
import { nmse } from '../models/gguf-logits.js';

prepareEnvironment({ dtype: 'f32' });

const TOKENS = Array.from({ length: 90 }, (_, i) => 5 + ((i * 37) % 200));
const { tokens } = AT_ONCE;

afterEach(() => {
  AT_ONCE.tokens = tokens;
});

/** Logits of a prompt whose groups are added at once if it has at most so many tokens. */
function prefill(model: string, most: number): Float32Array {
  AT_ONCE.tokens = most;
  const options = { accelerator: 'host', policy: 'stream', dtype: 'f32', expertsResident: 0.5 } as const;
  const session = loadEngine(`test/golden/${model}`, { ...options, ctx: 128, threads: 1, profile: false });
  try {
    return session.prefill(TOKENS, 0).slice();
  } finally {
    session.close();
  }
}

it.each(['qwen3_moe', 'gpt_oss'])('gate and up as one matrix give what they give apart: %s', (model) => {
  const joined = prefill(model, tokens);
  let asked = 0;
  const supports = vi.spyOn(Backend.prototype, 'supportsAll').mockImplementation(() => asked++ % 2 === 1); // of each slab first as one
  const apart = prefill(model, tokens);
  supports.mockRestore();
  expect(asked).toBeGreaterThan(0);
  expect(asked % 2).toBe(0);
  expect(nmse(apart, joined)).toBeLessThan(1e-10);
});

it.each(['qwen3_moe', 'gpt_oss'])('groups of a prompt give the same, added at once or in rounds: %s', (model) => {
  const atOnce = prefill(model, tokens);
  expect(nmse(prefill(model, 0), atOnce)).toBeLessThan(1e-10);
});
