import type { HardwareFile } from './machine.js';

/** Environment 1 of Fiddler's paper (arXiv 2402.07033, table 1 and figures 3 to 5): a Xeon with 48 cores. */
export const quadroRtx6000: HardwareFile = {
  name: 'Quadro RTX 6000',
  gpu: { memoryGiB: 24, bandwidth: 672, arithmetic: 16.3 },
  cpu: { cores: 48, bandwidth: 30, arithmetic: 0.18 },
  link: 12.2,
  ramGiB: 384,
  measured: {
    expertBytes: 352_321_536,
    cpu: [
      [1, 15.4],
      [2, 11.7],
      [4, 17.2],
      [8, 23.8],
      [16, 48.6],
      [32, 78.7],
    ],
    gpu: [
      [1, 0.73],
      [32, 5],
    ],
    copy: 28.93,
  },
  published: [
    {
      model: 'mixtral-8x7b',
      expertsResident: 56 / 256,
      decode: { stream: 0.13, lru: 0.32, static: 1.66, fiddler: 2.35 },
      ttft: { 512: 7.95, 1024: 9.33, 2048: 12.25, 4096: 18.46 },
      source: 'arXiv 2402.07033',
    },
  ],
};
