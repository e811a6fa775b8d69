import { describe, expect, it } from 'vitest';
import type { Device } from '../../src/devices/device.js';
import type { HostExperts } from '../../src/experts/host-experts.js';
import { pinExperts } from '../../src/experts/pinning.js';

const PAGE = 4096n;

/** Experts of three pages each, a page apart. */
const host = {
  isInPlace: () => true,
  expert: (layer: number, expert: number) => {
    const address = BigInt(1 + layer * 16 + expert * 4) * PAGE;
    return {
      up: { tensor: { address, bytes: 2 * Number(PAGE) } },
      down: { tensor: { address: address + 2n * PAGE, bytes: 100 } },
    };
  },
} as unknown as HostExperts;
const missing = [[0, 1, 3], [2]];

/** A device that refuses the n-th range. */
function refusing(n: number) {
  const pinned = new Set<bigint>();
  let calls = 0;
  const pin = (address: bigint) => {
    if (++calls === n) return undefined;
    pinned.add(address);
    return () => pinned.delete(address);
  };
  return { device: { pin } as unknown as Device, pinned };
}

describe('experts that are pinned in place', () => {
  it('are all that are missing', () => {
    const { device, pinned } = refusing(0);
    const pieces = pinExperts(device, host, missing)!;
    expect(pieces.map(({ from }) => from)).toEqual([...pinned]);
    expect([...pinned]).toEqual([0, 1, 3, 16 / 4 + 2].map((at) => BigInt(1 + at * 4) * PAGE));
  });

  it.each([1, 2, 3, 4])('are none where the driver refuses range %i', (n) => {
    const { device, pinned } = refusing(n);
    expect(pinExperts(device, host, missing)).toBeUndefined();
    expect(pinned.size).toBe(0);
  });
});
