import { perExpert } from '../policy.js';

/**
 * Missing experts are always copied, into a cache from which the least recently used is evicted, and those that the next
 * layer will probably choose are copied ahead: mixtral-offloading's scheme (arXiv 2312.17238, sections 3.1 and 3.2).
 */
export const lruPolicy = perExpert(
  {
    name: 'lru',
    summary: 'missing experts always copied, those of the next layer ahead; see --expert-cache',
    streams: true,
    byCost: false,
    prefetches: true,
  },
  () => 'streamed',
);
