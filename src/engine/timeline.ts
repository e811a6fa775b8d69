import { policyNamed } from '../experts/policies/index.js';
import type { SpanLane } from '../experts/spans.js';
import type { Workbench } from './workbench.js';

/** A piece of a layer's work, measured by itself: milliseconds since the recording began. */
export interface Piece {
  lane: SpanLane;
  from: number;
  to: number;
}

/** What one layer's routed experts take in a decode step under one policy. */
export interface LayerTimeline {
  policy: string;
  /** In the order in which the work is queued. */
  pieces: Piece[];
  /** Median milliseconds of the same work with all lanes at once. */
  together: number;
}

/** Repetitions of the work with all lanes at once. */
const REPLAYS = 5;

/**
 * Records the last layer of a decode step behind `past` tokens: of `steps` steps the one that uses the most lanes.
 * The KV cache holds nothing of use afterwards.
 */
export function recordTimeline(session: Workbench, policy: string, past: number, steps = 8): LayerTimeline {
  session.use(policyNamed(policy));
  let best: LayerTimeline | undefined;
  for (let i = 0; i < steps; i++) {
    session.step([(i * 7919 + 17) % session.info.vocabulary], past);
    const times = Array.from({ length: REPLAYS }, () => session.replayExperts()).sort((a, b) => a - b);
    const found = { policy, pieces: pieces(session), together: times[REPLAYS >> 1]! };
    if (!best || lanesOf(found) > lanesOf(best)) best = found;
  }
  return best!;
}

function pieces(session: Workbench): Piece[] {
  const begin = performance.now();
  const found: Piece[] = [];
  session.recordExperts((lane, from, to) => found.push({ lane, from: from - begin, to: to - begin }));
  return found;
}

function lanesOf({ pieces }: LayerTimeline): number {
  return new Set(pieces.map(({ lane }) => lane)).size;
}
