import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../src/engine/options.js';
import type { Plan } from '../../src/planning/plan.js';
import { runScript } from '../support/command.js';
import { bytesOf, type SyntheticSizes, shapesOf, writeModel } from '../support/synthetic.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';

const sizes: SyntheticSizes = { layers: 6, hidden: 1024, width: 3584, experts: 8, vocabulary: 32_000 };
const shapes = shapesOf(sizes);
const EXPERTS = /\.experts\./;
const EMBEDDING = /embed_tokens/;
const OTHERS = /^(?!.*(\.experts\.|embed_tokens))/;
const TOTAL = sizes.layers * sizes.experts;

const skipped = vulkanMissing();
if (skipped) console.warn(`memory on Vulkan is NOT tested: ${skipped}`);

interface Setting {
  accelerator: 'none' | 'host' | 'vulkan';
  dtype: 'auto' | 'f32';
  /** In percent. */
  residency: number;
}

const settings: Setting[] = (['auto', 'f32'] as const).flatMap((dtype) => [
  { accelerator: 'none', dtype, residency: 0 },
  ...[0, 25, 50, 100].map((residency) => ({ accelerator: 'host' as const, dtype, residency })),
  // In f32 a row takes minutes there.
  ...(dtype === 'f32' ? [50] : [50, 100]).map((residency) => ({ accelerator: 'vulkan' as const, dtype, residency })),
]);

/** Bytes that the CPU serves, in the computed type. */
function servedBytes({ accelerator, dtype, residency }: Setting): number {
  const each = dtype === 'f32' ? 4 : 2;
  const missing = (TOTAL - Math.round((residency / 100) * TOTAL)) / TOTAL;
  const others = accelerator === 'none' ? bytesOf(shapes, OTHERS, each) : 0;
  return missing * bytesOf(shapes, EXPERTS, each) + bytesOf(shapes, EMBEDDING) + others;
}

/** Bytes of weights that must be on the accelerator. */
function placedBytes({ accelerator, dtype, residency }: Setting): number {
  const each = dtype === 'f32' ? 4 : 2;
  return accelerator === 'none'
    ? 0
    : (residency / 100) * bytesOf(shapes, EXPERTS, each) + bytesOf(shapes, OTHERS, each);
}

/** Of what is then used, a plan may be under by so much, and over. */
const UNDER = 0.01;
const OVER = 0.05;
/** Tokens of the prompt and generated ones: the largest call, and all experts and buffers are used. */
const PROMPT = 512;
const GENERATED = 16;

describe('peak resident set', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'fiddler-test-'));
    writeModel(dir, sizes, 'random');
  }, 300_000);
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  async function fiddler({ accelerator, dtype, residency }: Setting, command: readonly string[]): Promise<unknown> {
    const args = [
      '--accelerator',
      accelerator,
      '--dtype',
      dtype,
      '--policy',
      'static',
      '--ctx',
      `${PROMPT + GENERATED}`,
    ];
    args.push('--threads', '1', '--no-profile', '--json');
    if (accelerator !== 'none') args.push('--experts-resident', `${residency}%`);
    const env = accelerator === 'vulkan' ? SOFTWARE_VULKAN : {};
    const { code, stdout, stderr } = await runScript('dist/cli/main.js', [...command, ...args], env);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout.trim().split('\n').at(-1)!);
  }

  async function run(setting: Setting): Promise<Report> {
    const tokens = Array.from({ length: PROMPT }, (_, i) => (i * 7919) % sizes.vocabulary).join(',');
    const command = ['run', '--model', dir, '--tokens', tokens, '--max-tokens', `${GENERATED}`, '--no-learn'];
    return ((await fiddler(setting, command)) as { report: Report }).report;
  }

  const offered = settings.filter(({ accelerator }) => accelerator !== 'vulkan' || !skipped);
  it.each(offered)(
    'of $accelerator $dtype, $residency% resident',
    async (setting) => {
      const plan = (await fiddler(setting, ['plan', dir])) as Plan;
      if (setting.accelerator === 'vulkan') await run(setting); // its driver compiles kernels once, which takes memory
      const { memory, lanes, experts } = await run(setting);
      const served = servedBytes(setting);
      const placed = placedBytes(setting);
      // All that the CPU serves was in use, and what the accelerator holds is all there.
      expect(experts.resident).toBe(Math.round((setting.residency / 100) * TOTAL));
      expect(lanes.cpu.experts + lanes.resident.experts).toBeGreaterThanOrEqual(TOTAL);
      expect(memory.ram).toBeCloseTo(served, -7);
      expect(memory.accelerator).toBeGreaterThanOrEqual(placed);
      expect(memory.accelerator).toBeLessThan(1.05 * placed + 100e6);
      expect(memory.peakRss).toBeGreaterThan(0.9 * (served + placed));

      const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(3);
      const planned = plan.memory.ram.total;
      console.log(
        `${Object.values(setting).join(' ')}: planned ${gigabytes(planned)} GB, peak ${gigabytes(memory.peakRss)} ` +
          `(${(100 * (planned / memory.peakRss - 1)).toFixed(1)}%); CPU ${gigabytes(served)}, accelerator ${gigabytes(memory.accelerator)}`,
      );
      expect(plan.memory.accelerator.total).toBe(memory.accelerator);
      expect(memory.planned).toBe(planned);
      expect(planned).toBeGreaterThanOrEqual((1 - UNDER) * memory.peakRss);
      expect(planned).toBeLessThanOrEqual((1 + OVER) * memory.peakRss);
    },
    600_000,
  );
});
