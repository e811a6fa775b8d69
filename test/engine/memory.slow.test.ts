import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../src/engine/options.js';
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
  ...[50, 100].map((residency) => ({ accelerator: 'vulkan' as const, dtype, residency })),
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

describe('peak resident set', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'fiddler-test-'));
    writeModel(dir, sizes, 'random');
  }, 300_000);
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  async function run({ accelerator, dtype, residency }: Setting): Promise<Report> {
    const tokens = Array.from({ length: 200 }, (_, i) => (i * 7919) % sizes.vocabulary).join(',');
    const args = ['--accelerator', accelerator, '--dtype', dtype, '--policy', 'static', '--ctx', '512'];
    if (accelerator !== 'none') args.push('--experts-resident', `${residency}%`);
    const { code, stdout, stderr } = await runScript(
      'dist/cli/main.js',
      ['run', '--model', dir, '--tokens', tokens, '--max-tokens', '2', '--json', ...args],
      accelerator === 'vulkan' ? SOFTWARE_VULKAN : {},
    );
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout.trim().split('\n').at(-1)!).report;
  }

  const offered = settings.filter(({ accelerator }) => accelerator !== 'vulkan' || !skipped);
  it.each(offered)(
    'of $accelerator $dtype, $residency% resident',
    async (setting) => {
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

      const allowed = 1.15 * served + memory.accelerator + (setting.accelerator === 'vulkan' ? 600e6 : 400e6);
      const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(2);
      console.log(
        `${Object.values(setting).join(' ')}: peak ${gigabytes(memory.peakRss)} GB of ${gigabytes(allowed)}; ` +
          `CPU ${gigabytes(served)}, accelerator ${gigabytes(memory.accelerator)}`,
      );
      expect(memory.peakRss).toBeLessThanOrEqual(allowed);
    },
    600_000,
  );
});
