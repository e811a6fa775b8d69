import type { HardwareFile } from './machine.js';

/** Environment 2 of Fiddler's paper (arXiv 2402.07033): a Xeon with 112 cores. */
export const rtx6000Ada: HardwareFile = {
  name: 'RTX 6000 Ada',
  gpu: { memoryGiB: 48, bandwidth: 960, arithmetic: 180 },
  cpu: { cores: 112, bandwidth: 89, arithmetic: 0.26 },
  link: 24.8,
  ramGiB: 512,
  measured: {
    expertBytes: 352_321_536,
    cpu: [
      [1, 3.94],
      [2, 7.32],
      [4, 10.65],
      [8, 18.8],
      [16, 38.5],
      [32, 53.9],
    ],
    gpu: [
      [1, 0.46],
      [32, 0.51],
    ],
    copy: 14.22,
  },
  published: [
    {
      model: 'mixtral-8x7b',
      expertsResident: 125 / 256,
      decode: { stream: 0.26, lru: 0.97, static: 6.02, fiddler: 7.31 },
      ttft: { fiddler: { 512: 2.11, 1024: 2.08, 2048: 2.19, 4096: 2.51 } },
      sequential: true,
      source: 'arXiv 2402.07033',
    },
  ],
};
