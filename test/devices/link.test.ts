import { afterAll, expect, it } from 'vitest';
import { acceleratorKind, openAccelerator, openCpu } from '../../src/devices/accelerators.js';
import { copyRates } from '../../src/devices/link.js';
import { fiddlerError } from '../support/errors.js';

const cpu = openCpu();
const host = openAccelerator(acceleratorKind('host'), cpu);
afterAll(() => {
  host.free();
  cpu.free();
});
const MIB = 2 ** 20;

it('measures copies from pageable memory, and none from pinned where the device has none', () => {
  const plain = copyRates(host, cpu.bufferType, cpu.bufferType, 8 * MIB);
  expect(plain.pageable).toBeGreaterThan(1e8);
  expect(plain.pinned).toBeUndefined();
});

it('refuses what does not fit', () => {
  fiddlerError('memory', () => copyRates(host, cpu.bufferType, cpu.bufferType, 2 ** 50));
});
