import type { Device } from '../devices/device.js';
import { FiddlerError } from '../errors.js';
import type { Placement } from '../experts/placement.js';
import { ResidentExperts } from '../experts/resident-experts.js';
import type { ExpertsSpec, MatrixTypes } from '../experts/spec.js';

/** Of the experts that did not fit, this share is tried next. */
const SMALLER = 0.9;

interface Wanted {
  accelerator: Device;
  layers: readonly ExpertsSpec[];
  types: readonly MatrixTypes[];
  /** See ByNumber. */
  strided: boolean;
  /** Experts to place, over all layers. */
  count: number;
  /** Which experts they are, of so many. */
  place: (count: number) => Placement;
  /** How many there is room for now, asked where another process took what was free. */
  room: () => number;
  onWarning?: (line: string) => void;
}

/** Makes room for resident experts; for fewer, with one warning, where the accelerator's memory runs out. */
export function placeResident(wanted: Wanted): { resident: ResidentExperts; placement: Placement } {
  const { accelerator, layers, types, strided, place, onWarning } = wanted;
  for (let count = wanted.count; ; count = Math.min(Math.floor(count * SMALLER), wanted.room())) {
    const placement = place(count);
    const resident = allocate(count > 0, accelerator, layers, placement, types, strided);
    if (!resident) continue;
    if (count < wanted.count) {
      const problem = `the memory of ${accelerator.name} ran out, perhaps because another process took it`;
      onWarning?.(`${problem}: ${count} experts are resident in place of ${wanted.count}`);
    }
    return { resident, placement };
  }
}

/** Undefined where memory does not suffice and fewer may do. */
function allocate(
  fewer: boolean,
  ...parts: ConstructorParameters<typeof ResidentExperts>
): ResidentExperts | undefined {
  try {
    return new ResidentExperts(...parts);
  } catch (error) {
    if (fewer && error instanceof FiddlerError && error.code === 'memory') return undefined;
    throw error;
  }
}
