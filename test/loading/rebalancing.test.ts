import { describe, expect, it } from 'vitest';
import { layOut } from '../../src/loading/layout.js';
import { followsUse, pinnedResidents } from '../../src/loading/rebalancing.js';
import { folderSource } from '../../src/loading/source.js';
import type { LoadOptions } from '../../src/options.js';

const GB = 1e9;
const standIn = { gpu: { name: 'a GPU', memory: 8 * GB }, cores: 8, ram: 16 * GB };

/** The layout of a small model, on a GPU that is not here unless an accelerator is asked for. */
function laidOut<T>(options: LoadOptions, use: (layout: ReturnType<typeof layOut>) => T): T {
  const how = { countsOnly: true, standIn: options.accelerator ? undefined : standIn };
  const layout = layOut(folderSource('test/golden/mixtral'), options, how);
  try {
    return use(layout);
  } finally {
    layout.close();
  }
}

const ample = { needed: GB, available: 2 * GB };

describe('residency that follows use', () => {
  it('is the default on a GPU where RAM has room for resident experts too, and not where it has not', () => {
    laidOut({ expertsResident: 0.5 }, (layout) => {
      const pinned = pinnedResidents(layout);
      const resident = layout.placement.reduce((sum, { length }) => sum + length, 0);
      expect(pinned).toBe(resident * layout.experts.bytesOf(0));
      expect(pinned).toBeGreaterThan(0);
      expect(followsUse(layout, undefined, ample)).toBe(true);
      expect(followsUse(layout, undefined, { needed: GB, available: GB + pinned })).toBe(true);
      expect(followsUse(layout, undefined, { needed: GB, available: GB + pinned - 1 })).toBe(false);
    });
  });

  it('is what was asked for, whatever there is', () => {
    laidOut({ expertsResident: 0.5 }, (layout) => {
      expect(followsUse(layout, false, ample)).toBe(false);
      expect(followsUse(layout, true, { needed: GB, available: 0 })).toBe(true);
    });
  });

  it.each<[string, LoadOptions]>([
    ['nothing is streamed', { expertsResident: 0.5, policy: 'static' }],
    ['all are resident', { expertsResident: 1 }],
    ['none is resident', { expertsResident: 0 }],
    ['the accelerator is the CPU', { expertsResident: 0.5, accelerator: 'host' }],
  ])('is not the default where %s', (_, options) => {
    laidOut(options, (layout) => {
      expect(followsUse(layout, undefined, ample)).toBe(false);
    });
  });

  it('takes no RAM for experts that are converted, which are copies in any case', () => {
    laidOut({ expertsResident: 0.5, dtype: 'f32' }, (layout) => {
      expect(pinnedResidents(layout)).toBe(0);
    });
  });
});
