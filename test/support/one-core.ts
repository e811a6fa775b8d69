import koffi from 'koffi';
import { allowedCpus } from '../../src/devices/topology.js';

/*
 * Vitest's set-up of a worker: keeps it, and every thread and process that it starts, on one core, so that test files run
 * beside each other. Pools of threads that share cores slow each other down up to a thousandfold.
 */
const cpus = allowedCpus() ?? [];
if (cpus.length > 1) {
  const cpu = cpus[Number(process.env.VITEST_POOL_ID) % cpus.length]!;
  const mask = new Uint8Array(128); // cpu_set_t
  mask[cpu >> 3] = 1 << (cpu & 7);
  const setAffinity = koffi.load('libc.so.6').func('int sched_setaffinity(int pid, size_t size, const uint8_t *mask)');
  if (setAffinity(0, mask.length, mask) !== 0) throw new Error(`this process could not be kept on CPU ${cpu}`);
}
