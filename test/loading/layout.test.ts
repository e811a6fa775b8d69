import { describe, expect, it } from 'vitest';
import { loadSource } from '../../src/engine/load.js';
import { modelRam, sumOf } from '../../src/loading/footprint.js';
import { type Layout, layOut } from '../../src/loading/layout.js';
import { folderSource } from '../../src/loading/source.js';
import type { LoadOptions } from '../../src/options.js';

const MODELS = [
  'models/mini-mixtral',
  'test/golden/deepseek_v3',
  'test/golden/gpt_oss-mxfp4',
  'test/golden/deepseek_v4',
  'test/golden/switch',
];

function counted(dir: string, options: LoadOptions): { bytes: number; ram: number; layout: Layout } {
  const layout = layOut(folderSource(dir), options, { countsOnly: true });
  const { bytes } = layout.machine.accelerator;
  const ram = sumOf(modelRam(layout));
  layout.close();
  return { bytes, ram, layout };
}

describe('a layout that is only counted', () => {
  const settings = MODELS.flatMap((dir) =>
    (['none', 'host'] as const).flatMap((accelerator) =>
      [0, 0.5, 1].map((expertsResident) => ({ dir, accelerator, expertsResident })),
    ),
  );

  it.each(settings)('takes what a load of $dir takes on $accelerator at $expertsResident', (setting) => {
    const { dir, ...rest } = setting;
    const options = { ...rest, ctx: 512, threads: 1 };
    const { bytes, ram, layout } = counted(dir, options);
    const session = loadSource(folderSource(dir), options);
    try {
      session.generate(
        [1, 5, 6, 7, 8, 9, 10],
        { maxTokens: 5 },
        () => false,
        () => false,
      );
      const { experts, memory } = session.info;
      expect(layout.placement.reduce((sum, of) => sum + of.length, 0)).toBe(experts.resident);
      if (setting.accelerator !== 'none') expect(bytes).toBe(memory.accelerator);
      expect(ram).toBe(memory.taken);
    } finally {
      session.close();
    }
  });

  it('takes no memory', () => {
    const before = process.memoryUsage.rss();
    // 2 GiB for the KV cache.
    const { bytes } = counted('models/mini-mixtral', { accelerator: 'host', ctx: 2 ** 21 / 4, threads: 1 });
    expect(bytes).toBeGreaterThan(5e8);
    expect(process.memoryUsage.rss() - before).toBeLessThan(bytes / 4);
  });
});
