import type { HardwareFile } from './machine.js';

/**
 * Environment 1 of Fiddler's paper (arXiv 2402.07033): a Xeon with 48 cores. Turing has no units for bf16, which it
 * computes as float32: half of that peak is counted.
 */
export const quadroRtx6000: HardwareFile = {
  name: 'Quadro RTX 6000',
  gpu: { memoryGiB: 24, bandwidth: 672, arithmetic: 8 },
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
      ttft: { fiddler: { 512: 7.95, 1024: 9.33, 2048: 12.25, 4096: 18.46 } },
      sequential: true,
      source: 'arXiv 2402.07033',
    },
  ],
};
