import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Plan } from '../../src/planning/plan.js';
import type { Report } from '../../src/report.js';
import { runScript } from '../support/command.js';
import { bytesOf, type SyntheticSizes, shapesOf, writeModel } from '../support/synthetic.js';
import { blocksOf, bytesOfBlocks, writeBlocks } from '../support/synthetic-gguf.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';

const sizes: SyntheticSizes = { layers: 6, hidden: 1024, width: 3584, experts: 8, vocabulary: 32_000 };
const shapes = shapesOf(sizes);
const EXPERTS = /\.experts\./;
const EMBEDDING = /embed_tokens/;
const OTHERS = /^(?!.*(\.experts\.|embed_tokens))/;
/** With twice the layers, so that the weights of this one are most of what it takes, too. */
const blockSizes: SyntheticSizes = { ...sizes, layers: 2 * sizes.layers };
const blocks = blocksOf(blockSizes);

const skipped = vulkanMissing();
if (skipped) console.warn(`memory on Vulkan is NOT tested: ${skipped}`);

interface Setting {
  accelerator: 'none' | 'host' | 'vulkan';
  /** The stored type, which is bf16 or Q4_K and Q6_K; or float32, or Q4_K made of bf16, in RAM or kept on disk. */
  dtype: 'auto' | 'f32' | 'blocks' | 'quantized' | 'kept';
  /** In percent. */
  residency: number;
}

/** A row takes minutes there: with FIDDLER_MEMORY=all in the environment there are more. */
const onVulkan: Record<Setting['dtype'], number[]> =
  process.env.FIDDLER_MEMORY === 'all'
    ? { auto: [50, 100], f32: [50], blocks: [50], quantized: [50], kept: [] }
    : { auto: [50], f32: [], blocks: [], quantized: [], kept: [] };

const onHost: Record<Setting['dtype'], number[]> = {
  auto: [0, 25, 50, 100],
  f32: [0, 25, 50, 100],
  blocks: [50],
  quantized: [50],
  kept: [50],
};

const settings: Setting[] = (['auto', 'f32', 'blocks', 'quantized', 'kept'] as const).flatMap((dtype) => [
  { accelerator: 'none', dtype, residency: 0 },
  ...onHost[dtype].map((residency) => ({ accelerator: 'host' as const, dtype, residency })),
  ...onVulkan[dtype].map((residency) => ({ accelerator: 'vulkan' as const, dtype, residency })),
]);

/** Bytes of a number in Q4_K. */
const Q4_K = 144 / 256;

/** Bytes of all experts, of the embedding table and of the other weights, in the computed type. */
function weightBytes(dtype: Setting['dtype']): { experts: number; embedding: number; others: number } {
  if (dtype !== 'blocks') {
    const each = dtype === 'f32' ? 4 : 2;
    const ofExperts = dtype === 'quantized' || dtype === 'kept' ? Q4_K : each;
    const [experts, others] = [bytesOf(shapes, EXPERTS, ofExperts), bytesOf(shapes, OTHERS, each)];
    return { experts: experts!, embedding: bytesOf(shapes, EMBEDDING), others: others! };
  }
  const sum = (fits: (name: string) => boolean) =>
    blocks.filter(({ name }) => fits(name)).reduce((bytes, tensor) => bytes + bytesOfBlocks(tensor), 0);
  const experts = sum((name) => name.includes('_exps'));
  const embedding = sum((name) => name.startsWith('token_embd'));
  return { experts, embedding, others: sum(() => true) - experts - embedding };
}

function expertsOf({ dtype, residency }: Setting): { total: number; resident: number } {
  const { layers, experts } = dtype === 'blocks' ? blockSizes : sizes;
  return { total: layers * experts, resident: Math.round((residency / 100) * layers * experts) };
}

/** Bytes that the CPU serves. */
function servedBytes(setting: Setting): number {
  const { accelerator, dtype } = setting;
  const { total, resident } = expertsOf(setting);
  const missing = (total - resident) / total;
  const { experts, embedding, others } = weightBytes(dtype);
  return missing * experts + embedding + (accelerator === 'none' ? others : 0);
}

/** Bytes of weights that must be on the accelerator. */
function placedBytes({ accelerator, dtype, residency }: Setting): number {
  const { experts, others } = weightBytes(dtype);
  return accelerator === 'none' ? 0 : (residency / 100) * experts + others;
}

/** Of what is then used, a plan may be under by so much, and over. */
const UNDER = 0.01;
const OVER = 0.05;
/** Tokens of the prompt and generated ones: the largest call, and all experts and buffers are used. */
const PROMPT = 512;
const GENERATED = 16;
/** 512 tokens take ten minutes there. */
const promptOf = ({ accelerator, dtype }: Setting) => (accelerator === 'vulkan' && dtype === 'blocks' ? 32 : PROMPT);
/** The file in blocks, beside the other model. */
const BLOCKS = 'blocks.gguf';

describe('peak resident set', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'fiddler-test-'));
    writeModel(dir, sizes, 'random');
    writeBlocks(join(dir, BLOCKS), blockSizes);
  }, 300_000);
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  const modelOf = ({ dtype }: Setting) => (dtype === 'blocks' ? join(dir, BLOCKS) : dir);

  async function fiddler(setting: Setting, command: readonly string[]): Promise<unknown> {
    const { accelerator, dtype, residency } = setting;
    const args = [
      '--accelerator',
      accelerator,
      '--dtype',
      dtype === 'f32' ? 'f32' : 'auto',
      '--policy',
      'static',
      '--ctx',
      `${promptOf(setting) + GENERATED}`,
    ];
    args.push('--threads', '1', '--no-profile', '--json');
    if (accelerator !== 'none') args.push('--experts-resident', `${residency}%`);
    if (dtype === 'quantized' || dtype === 'kept') args.push('--quantize', 'q4_k');
    if (dtype === 'kept') args.push('--keep');
    const env = accelerator === 'vulkan' ? SOFTWARE_VULKAN : {};
    const { code, stdout, stderr } = await runScript('dist/cli/main.js', [...command, ...args], env);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout.trim().split('\n').at(-1)!);
  }

  async function run(setting: Setting): Promise<Report> {
    const tokens = Array.from({ length: promptOf(setting) }, (_, i) => (i * 7919) % sizes.vocabulary).join(',');
    const command = ['run', '--model', modelOf(setting), '--tokens', tokens, '--max-tokens', `${GENERATED}`];
    command.push('--temperature', '0', '--no-learn'); // other tokens might need kernels that no run has compiled yet
    return ((await fiddler(setting, command)) as { report: Report }).report;
  }

  const offered = settings.filter(({ accelerator }) => accelerator !== 'vulkan' || !skipped);
  it.each(offered)(
    'of $accelerator $dtype, $residency% resident',
    async (setting) => {
      if (setting.dtype === 'kept') await run(setting); // makes the file, which takes memory to convert
      const plan = (await fiddler(setting, ['plan', modelOf(setting)])) as Plan;
      if (setting.accelerator === 'vulkan') await run(setting); // its driver compiles kernels once, which takes memory
      const { memory, lanes, experts } = await run(setting);
      const served = servedBytes(setting);
      const placed = placedBytes(setting);
      // All that the CPU serves was in use, and what the accelerator holds is all there.
      const { total, resident } = expertsOf(setting);
      expect(experts.resident).toBe(resident);
      expect(lanes.cpu.experts + lanes.resident.experts).toBeGreaterThanOrEqual(total);
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
    1_800_000,
  );
});
