import type { Routes } from '../experts/assignments.js';
import type { Experts } from '../experts/experts.js';
import type { Batch } from './batch.js';
import type { Network } from './network.js';
import type { Shape, Stack } from './stack.js';

/**
 * One call of the model: every token of the batch passes through all layers of the stack; their hidden states are in the
 * network afterwards, their keys and values in the KV cache behind those of each sequence. Sequences attend each to its
 * own, and share the experts.
 * @param cancelled asked between layers
 * @returns false where it was cancelled; what the call wrote to the KV cache is then of no use
 */
export function forward(stack: Stack, experts: Experts, batch: Batch, cancelled: () => boolean): boolean {
  experts.follower?.begins();
  const shape = stack.begin(batch, experts.prefetches);
  for (const l of stack.layers.keys()) {
    if (cancelled()) {
      experts.settle();
      experts.wait(); // what is queued must not outlive its graphs
      return false;
    }
    stack.attend(l, shape, experts.arrived()); // queued on the accelerator
    experts.copyAhead(); // meanwhile experts travel that this layer will surely choose
    const routes = stack.route(l, shape); // only the router's logits and the experts' input come back
    if (routes) experts.run(routes, (arrives) => stack.prepare(l + 1, shape, arrives)); // decide, three lanes at once, add up
  }
  experts.settle();
  return true;
}

/** Computes a layer up to its experts, alone: what measurements repeat. @returns what its router chose, if it has one */
export function attended(stack: Stack, l: number, shape: Shape): Routes | undefined {
  stack.attend(l, shape);
  return stack.route(l, shape);
}

/**
 * The encoder reads a whole prompt in one call, and the decoder's cross-attention gets the keys and values of that.
 * @param slot of the sequence for which it does
 */
export function encode(
  network: Network,
  experts: Experts,
  prompt: readonly number[],
  slot: number,
  cancelled: () => boolean,
): boolean {
  const batch = [{ slot, tokens: prompt, past: 0, source: 0, extended: false }];
  if (!forward(network.encoder!, experts, batch, cancelled)) return false;
  network.handOver(prompt.length, slot);
  return true;
}
