import type { Device } from '../devices/device.js';
import { pageSize } from '../native/os/memory.js';
import { matrixEntries } from './activations.js';
import type { HostExperts, Range } from './host-experts.js';

/**
 * Pins experts that may be streamed, where they lie in the mapped files: all of them, or none.
 * @returns the pieces that were pinned, ascending; undefined where the device's driver does not pin such memory, or not so much
 */
export function pinExperts(
  accelerator: Device,
  host: HostExperts,
  missing: readonly (readonly number[])[],
): Range[] | undefined {
  const ranges: Range[] = [];
  missing.forEach((experts, layer) => {
    for (const expert of experts) {
      if (!host.isInPlace(layer, expert)) continue;
      const placed = host.expert(layer, expert);
      for (const [, { tensor }] of matrixEntries(placed)) ranges.push(pagesOf(tensor.address, tensor.bytes));
    }
  });
  const pinned: (() => void)[] = [];
  const pieces = merge(ranges);
  for (const { from, to } of pieces) {
    const end = accelerator.pin(from, Number(to - from));
    if (!end) {
      for (const each of pinned) each();
      return undefined;
    }
    pinned.push(end);
  }
  return pieces;
}

function pagesOf(address: bigint, bytes: number): Range {
  const page = BigInt(pageSize);
  return { from: (address / page) * page, to: ((address + BigInt(bytes) + page - 1n) / page) * page };
}

/** Ranges in order, those that touch made one: a page can be pinned only once. */
export function merge(ranges: readonly Range[]): Range[] {
  const sorted = [...ranges].sort((a, b) => (a.from < b.from ? -1 : 1));
  const merged: Range[] = [];
  for (const range of sorted) {
    const last = merged.at(-1);
    if (last && range.from <= last.to) last.to = range.to > last.to ? range.to : last.to;
    else merged.push({ ...range });
  }
  return merged;
}
