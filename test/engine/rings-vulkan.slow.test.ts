import { describe, expect, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { loadEngine } from '../../src/engine/load.js';
import type { LoadOptions } from '../../src/options.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';

// Read by ggml's libraries when they load, which is with the first model here.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);
prepareEnvironment({ dtype: 'f32' });

const LENGTH = 400;

/** Log-probabilities that each token of a text has behind those before it, and of some more behind a part of the text. */
function scores(name: string, options: LoadOptions): number[] {
  const model = `test/golden/${name}`;
  const session = loadEngine(model, {
    policy: 'stream',
    dtype: 'f32',
    ctx: 1024,
    threads: 1,
    profile: false,
    ...options,
  });
  const text = Array.from({ length: LENGTH }, (_, i) => 3 + ((i * i + 7 * i) % 250));
  const found: number[] = [];
  const never = () => false;
  const generate = (prompt: readonly number[]) => {
    const onToken = (_: number, top?: { logprob: number }[]) => found.push(top![0]!.logprob) < 0;
    session.generate(prompt, { temperature: 0, maxTokens: 3, logprobs: 1, ignoreEnd: true }, onToken, never);
  };
  try {
    session.score(text, 0, ({ logprob }) => found.push(logprob ?? 0), never);
    generate(text);
    generate(text.slice(0, LENGTH - 30)); // in the ring
    generate(text.slice(0, 40)); // lost
  } finally {
    session.close();
  }
  return found;
}

describe.skipIf(vulkanMissing())('a text that is longer than the rings of the KV cache on software Vulkan', () => {
  // One model: shaders for wide heads alone compile for minutes.
  it('gives what it gives on the CPU with rows for all tokens', () => {
    const name = 'gpt_oss';
    const expected = scores(name, { accelerator: 'none', chunk: 1024 });
    const found = scores(name, { accelerator: 'vulkan', chunk: 64 });
    expect(found).toHaveLength(LENGTH + 9);
    expect(Math.max(...found.map((v, i) => Math.abs(v - expected[i]!)))).toBeLessThan(1e-3);
  }, 600_000);
});
