import { perExpert } from '../policy.js';

/** Missing experts are always computed on the CPU, as llama.cpp's expert offload does. */
export const staticPolicy = perExpert(
  { name: 'static', summary: 'missing experts always on the CPU', streams: false, byCost: false },
  () => 'cpu',
);
