import type { Device } from '../../devices/device.js';
import { type LaneTimes, SYNCHRONISE_MS } from '../adaptation.js';
import type { LaneName } from '../policy.js';

/** Milliseconds of a call's lanes, undefined where a lane was not waited for; all of them where it was timed. */
export interface CallTimes {
  lanes: Record<LaneName, number | undefined>;
  timed?: LaneTimes;
}

/** Waits until each lane of the accelerator is done, and gives their milliseconds since `begin`. */
export function timeAccelerator(
  { copies, compute }: Pick<Device, 'copies' | 'compute'>,
  begin: number,
): Omit<LaneTimes, 'cpu' | 'acceleratorFirst'> {
  const before = performance.now();
  copies.synchronize();
  const copied = performance.now();
  compute.synchronize();
  const streamedLast = copied - before > SYNCHRONISE_MS;
  return { resident: performance.now() - begin, streamed: copied - begin, streamedLast };
}
