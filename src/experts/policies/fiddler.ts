import { cheaperLane, perExpert } from '../policy.js';

/** Fiddler's Algorithm 1 (arXiv 2402.07033, section 3.2): each missing expert where it costs least. */
export const fiddlerPolicy = perExpert(
  {
    name: 'fiddler',
    summary: 'each missing expert where it costs least, by costs measured at load',
    streams: true,
    byCost: true,
  },
  cheaperLane,
);
