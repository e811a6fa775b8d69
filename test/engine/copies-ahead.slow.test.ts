import { describe, expect, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { loadEngine } from '../../src/engine/load.js';
import { NO_COSTS } from '../../src/experts/costs.js';
import { policyNamed } from '../../src/experts/policies/index.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';

// Read by ggml's libraries when they load, which is with the first model here.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);
prepareEnvironment({ dtype: 'f32' });

const MODEL = 'test/golden/mixtral';
const LAYERS = 3;
const never = () => false;
const prompt = Array.from({ length: 48 }, (_, i) => ((i * 37) % 200) + 5);
/** An expert's copy takes as long as the CPU takes for it. */
const EVEN = { ...NO_COSTS, cpu: () => 1, copy: 1, accelerator: () => 0.1, overlap: true };

function run(accelerator: 'host' | 'vulkan', policy: string, tokens: readonly number[]) {
  const session = loadEngine(MODEL, {
    accelerator,
    policy: 'stream',
    dtype: 'f32',
    expertsResident: 0.25,
    ctx: 64,
    threads: 1,
    profile: false,
  });
  try {
    session.use(policyNamed(policy), EVEN);
    const generated: number[] = [];
    const report = session.generate(tokens, { temperature: 0, maxTokens: 3 }, (t) => generated.push(t) < 0, never);
    return { generated, bytes: session.expertBytes, ...report };
  } finally {
    session.close();
  }
}

describe.skipIf(vulkanMissing())('a prompt on software Vulkan', () => {
  it.each(['stream', 'lanes'])('has experts of the next layer copied while it attends, policy %s', (policy) => {
    const { generated, cache, lanes, bytes } = run('vulkan', policy, prompt);
    expect(generated).toEqual(run('host', policy, prompt).generated);
    // Every eighth layer is timed without; the first has nothing before it.
    expect(cache.usefulPrefetches).toBeGreaterThanOrEqual(policy === 'stream' ? LAYERS : 1);
    expect(cache.wastedPrefetches).toBe(0);
    const copied = lanes.streamed.experts - cache.hits + cache.usefulPrefetches + cache.wastedPrefetches;
    expect(lanes.streamed.bytes / bytes).toBeCloseTo(copied, 6);
  });

  it('has none copied ahead where an expert may get no token', () => {
    const { cache } = run('vulkan', 'stream', prompt.slice(0, 8));
    expect(cache.usefulPrefetches + cache.wastedPrefetches).toBe(0);
  });
});
