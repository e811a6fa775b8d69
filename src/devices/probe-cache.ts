import { readFileSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { AcceleratorKind } from './accelerators.js';
import { CacheEntries, cacheFolder } from './cache.js';
import { SURROUNDINGS, vulkanDrivers } from './probe-presence.js';
import { type Probe, probeSchema } from './probe-result.js';

/** Raised when a probe checks something else than before, so that old results are not taken. */
const REVISION = 2;

/** A fault may pass (memory that another process had taken), so it is tried again after a day, in milliseconds. */
const FAULT_LIFETIME = 24 * 3600 * 1000;

const entries = new CacheEntries('probes', z.object({ probe: probeSchema }));

/** What a probe's result depends on: the library, the driver, the GPUs, and what chooses among them. */
export function probeKey(kind: AcceleratorKind, library: string): string {
  const parts = [REVISION, kind.name, stamp(library), packageVersion(library) ?? '', release(), ...nvidiaDriver()];
  if (kind.name === 'vulkan') parts.push(...vulkanDrivers().map(stamp), ...displayDevices());
  const variables = Object.keys(process.env).filter((name) => /^(GGML_VK_|VK_|CUDA_|NVIDIA_VISIBLE)/.test(name));
  // Set by --dtype f32; a GPU works with it if it works without.
  parts.push(
    ...variables
      .filter((name) => name !== 'GGML_VK_DISABLE_F16')
      .sort()
      .map((name) => `${name}=${process.env[name]}`),
  );
  return parts.join('\n');
}

/** The remembered result; undefined where there is none, or none that can be trusted. */
export function recall(key: string, folder = cacheFolder()): Probe | undefined {
  const entry = entries.read(key, folder);
  if (!entry) return undefined;
  const { probe } = entry.value;
  const age = Date.now() - entry.time;
  const faulty = probe.fault !== undefined || probe.devices.some((d) => d.fault !== undefined);
  return faulty && !(age >= 0 && age < FAULT_LIFETIME) ? undefined : probe;
}

/** Remembers a result. */
export function remember(key: string, probe: Probe, folder = cacheFolder()): void {
  entries.write(key, { probe }, folder);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function stamp(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  return `${file} ${stat?.size} ${stat?.mtimeMs}`;
}

/** The version of the package that a library lies in, if any: it is in the folder bins/PLATFORM there. */
export function packageVersion(library: string): string | undefined {
  const manifest = read(join(dirname(library), '..', '..', 'package.json'));
  return manifest?.match(/"version":\s*"([^"]+)"/)?.[1];
}

function nvidiaDriver(): string[] {
  if (process.platform === 'win32')
    return ['nvcuda.dll', 'vulkan-1.dll'].map((dll) =>
      stamp(join(process.env.SystemRoot ?? 'C:\\Windows', 'System32', dll)),
    );
  const version = read('/proc/driver/nvidia/version') ?? read('/sys/module/nvidia/version') ?? 'no driver';
  const gpus = SURROUNDINGS.list('/proc/driver/nvidia/gpus');
  const cards = gpus.map((gpu) =>
    read(`/proc/driver/nvidia/gpus/${gpu}/information`)
      ?.match(/^(Model|GPU UUID):.*$/gm)
      ?.join(' '),
  );
  return [version, ...gpus, ...cards.map((card) => card ?? '')];
}

/** PCI vendor and device numbers of what /dev/dri holds. */
function displayDevices(): string[] {
  const cards = SURROUNDINGS.list('/sys/class/drm').filter((name) => /^(card|renderD)\d+$/.test(name));
  return cards.map((card) => {
    const [vendor, device] = ['vendor', 'device'].map((name) => read(`/sys/class/drm/${card}/device/${name}`));
    return `${card} ${vendor} ${device}`;
  });
}
