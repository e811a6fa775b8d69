import type { Device } from '../devices/device.js';
import { FiddlerError } from '../errors.js';
import { type Counts, type Placement, popular, spread } from '../experts/placement.js';
import { ResidentExperts } from '../experts/resident-experts.js';
import type { ExpertsSpec } from '../experts/spec.js';
import type { Type } from '../ggml/tensor.js';

/** Of the experts that did not fit, this share is tried next. */
const SMALLER = 0.9;

interface Wanted {
  accelerator: Device;
  layers: readonly ExpertsSpec[];
  type: Type;
  /** Experts to place, over all layers. */
  count: number;
  /** How often each was chosen, by layer, where that is known. */
  counts?: Counts;
  /** How many there is room for now, asked where another process took what was free. */
  room: () => number;
  onWarning?: (line: string) => void;
}

/** Makes room for resident experts; for fewer, with one warning, where the accelerator's memory runs out. */
export function placeResident(wanted: Wanted): { resident: ResidentExperts; placement: Placement } {
  const { accelerator, layers, type, counts, onWarning } = wanted;
  const sizes = layers.map((l) => l.count);
  for (let count = wanted.count; ; count = Math.min(Math.floor(count * SMALLER), wanted.room())) {
    const placement = counts ? popular(count, sizes, counts) : spread(count, sizes);
    const resident = allocate(accelerator, layers, placement, type);
    if (!resident) continue;
    if (count < wanted.count) {
      const problem = `the memory of ${accelerator.name} ran out, perhaps because another process took it`;
      onWarning?.(`${problem}: ${count} experts are resident in place of ${wanted.count}`);
    }
    return { resident, placement };
  }
}

/** Undefined where memory does not suffice; no experts always fit. */
function allocate(...parts: ConstructorParameters<typeof ResidentExperts>): ResidentExperts | undefined {
  try {
    return new ResidentExperts(...parts);
  } catch (error) {
    if (error instanceof FiddlerError && error.code === 'memory') return undefined;
    throw error;
  }
}
