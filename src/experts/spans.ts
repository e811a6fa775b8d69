import type { LaneName } from './policy.js';

/** Where a piece of a layer's work ran: a lane, or the link that copies a streamed expert. */
export const SPAN_LANES = ['copy', 'streamed', 'resident', 'cpu'] as const satisfies readonly (LaneName | 'copy')[];
export type SpanLane = (typeof SPAN_LANES)[number];

/** Told when a piece of work began and ended, in milliseconds of `performance.now()`. */
export type OnSpan = (lane: SpanLane, from: number, to: number) => void;
