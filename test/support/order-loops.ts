import { plainLoops } from '../../src/experts/order-loops.js';
import { loadExpertKernels } from '../../src/native/kernels.js';
import type { OrderLoops } from '../../src/native/order-loops.js';

const native = loadExpertKernels()?.orderLoops;

/** Every implementation of the loops that order assignments; the native one where it was built. */
export const ORDER_LOOPS: readonly (readonly [name: string, loops: OrderLoops])[] = [
  ['in JavaScript', plainLoops],
  ...(native ? ([['in native code', native]] as const) : []),
];
