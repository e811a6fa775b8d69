// Run as a process of its own by probe.ts: ggml ends the process on CUDA errors and failed assertions.
import { writeSync } from 'node:fs';
import { deviceMemory } from '../native/ggml/backend.js';
import { withoutCoreDumps } from '../native/os/core-dump.js';
import { endWithParent } from '../native/os/parent.js';
import { acceleratorKind, findDevices } from './accelerators.js';
import { checkDevice } from './probe-graph.js';
import { isSoftware, type ProbedDevice } from './probe-result.js';

/** One line at once, so that what is known survives an abort. */
function print(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

/** Prints the devices, then a line for each as it was checked. */
function probe(name: string): void {
  endWithParent();
  withoutCoreDumps();
  const accelerator = acceleratorKind(name);
  const found = findDevices(accelerator);
  const capabilities = accelerator.capabilities?.() ?? [];
  const devices = found.map(({ pointer, name, description, kind }, i): ProbedDevice => {
    const type = kind === 'cpu' ? 'other' : kind;
    const software = isSoftware(description);
    return { name, description, kind: type, software, capability: capabilities[i], ...deviceMemory(pointer) };
  });
  print({ devices });
  for (const { pointer, description } of found) print({ fault: checkDevice(pointer, isSoftware(description)) });
}

try {
  probe(process.argv[2]!);
  process.exit(0);
} catch (error) {
  writeSync(2, `${error instanceof Error ? error.message : error}\n`);
  process.exit(1);
}
