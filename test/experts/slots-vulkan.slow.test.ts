import { afterAll, describe, expect, it, vi } from 'vitest';
import { acceleratorKind, openAccelerator, openCpu } from '../../src/devices/accelerators.js';
import type { Device } from '../../src/devices/device.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';
import { LAYERS, SlotContents } from './slot-contents.js';

// Read by ggml's library when it loads, which is with the device.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);

const opened: Device[] = [];
afterAll(() => {
  for (const device of opened) device.free();
});

describe.skipIf(vulkanMissing())('slots on software Vulkan', () => {
  it.each(Object.entries(LAYERS))('hold each expert that was copied with its neighbours: %s', (_, layers) => {
    const cpu = openCpu();
    const vulkan = openAccelerator(acceleratorKind('vulkan'), cpu);
    opened.push(vulkan, cpu);
    const contents = new SlotContents(cpu, vulkan, layers);
    for (const [layer, experts] of [
      [0, [2, 3, 4, 5]],
      [1, [0, 1, 2, 3, 4, 7, 8]],
      [0, [11, 10, 9, 0, 1, 2]],
    ] as const) {
      const { found, expected } = contents.fill(layer, experts);
      for (const [i, bytes] of found.entries()) expect(Buffer.compare(bytes, expected[i]!)).toBe(0);
    }
  });
});
