import { perExpert } from '../policy.js';

/** Missing experts are always copied, as mixtral-offloading without its cache and ZeRO-Inference do. */
export const streamPolicy = perExpert(
  { name: 'stream', summary: 'missing experts always copied to the accelerator', streams: true, byCost: false },
  () => 'streamed',
);
