import type { HardwareFile } from './machine.js';

/** A host with an H200, PCIe 5 x16 and 16 Xeon vCPUs, as measured with this engine (bench/results). */
export const h200: HardwareFile = {
  name: 'H200, PCIe 5, 16 vCPUs',
  gpu: { memoryGiB: 139, bandwidth: 4800, arithmetic: 800 },
  cpu: { cores: 16, bandwidth: 135, arithmetic: 14 },
  link: 54,
  ramGiB: 128,
  together: { cpu: 1.15, copy: 1.3 },
};
