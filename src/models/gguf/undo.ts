import type { Undo } from './architecture.js';

/** The weights of a norm that is published less 1. */
export const lessOne: Undo = (values) => {
  for (let i = 0; i < values.length; i++) values[i]! -= 1;
};

/** `A_log`, of −exp(A_log). */
export const decayLogOf: Undo = (values) => {
  for (let i = 0; i < values.length; i++) values[i] = Math.log(-values[i]!);
};
