import { residentTotal } from '../experts/placement.js';
import { layerBytes } from './blueprint.js';
import type { Layout } from './layout.js';

type Parts = Pick<Layout, 'blueprint' | 'machine' | 'sizes' | 'host' | 'placement'>;

/**
 * Bytes of RAM that resident experts take where they may leave the accelerator: a GPU that streams has all experts pinned
 * where they lie in the files.
 */
export function pinnedResidents({ blueprint, machine, sizes, host, placement }: Parts): number {
  if (!sizes.streams || !machine.kind.gpu) return 0;
  const each = layerBytes(blueprint);
  return placement.reduce((sum, experts, l) => sum + (host.mustCopy(l) ? 0 : experts.length * each[l]!), 0);
}

/**
 * Whether resident experts follow use: as asked; else on a GPU with memory of its own, where there is RAM for that.
 * @param ram bytes that the model takes without, and that are available
 */
export function followsUse(
  layout: Parts,
  asked: boolean | undefined,
  ram: { needed: number; available: number },
): boolean {
  if (asked !== undefined) return asked;
  const { machine, sizes, placement } = layout;
  const moves = machine.kind.gpu && !machine.inRam && sizes.streams && residentTotal(placement) > 0;
  return moves && ram.needed + pinnedResidents(layout) <= ram.available;
}
