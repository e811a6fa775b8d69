import { cpus } from 'node:os';
import { basename } from 'node:path';
import { deviceMemory, devices } from '../native/ggml/backend.js';
import { ggmlVersion, libraryFeatures } from '../native/ggml/features.js';
import { findLibraries } from '../native/ggml/libraries.js';
import { loadExpertKernels } from '../native/kernels.js';
import { ACCELERATORS, type AcceleratorKind, acceleratorKind, findDevices } from './accelerators.js';
import { bestDevice, chooseAccelerator, faultOf } from './choice.js';
import { availableRam, usableCores, usableCpus } from './cores.js';
import { probeAccelerator } from './probe.js';
import { packageVersion } from './probe-cache.js';
import type { Probe } from './probe-result.js';

/** An accelerator as this machine has it. */
export interface AcceleratorExamination {
  name: string;
  summary: string;
  works: boolean;
  /** Why it does not work, in one line. */
  fault?: string;
  /** Of GPUs: what the library found, with memory in bytes as it is now. */
  devices: Probe['devices'];
}

/** The machine as the engine sees it. */
export interface Examination {
  cpu: {
    model: string;
    /** Cores this process may use. */
    cores: number;
    /** Of all cores that may be used, slow ones too. */
    hardwareThreads: number;
    /** What ggml's library for this CPU makes use of, by ggml's names. */
    features: string[];
    /** File name of that library. */
    library?: string;
    /** Native kernels for experts that this CPU runs, the one in use first; empty where they were not built. */
    kernels: string[];
  };
  /** Bytes. */
  ram: { available: number; total: number };
  accelerators: AcceleratorExamination[];
  /** What `--accelerator auto` takes. */
  auto: string;
  /** ggml's libraries in this process: version of the package, where they come from one. */
  libraries: { file: string; version?: string }[];
  ggml: string;
}

/** How ggml's CPU library was built, which its list of features holds too. */
const BUILD_OPTIONS = new Set(['OPENMP', 'REPACK', 'LLAMAFILE', 'KLEIDIAI', 'ACCELERATE']);

/** Examines the machine; GPUs in processes of their own. @param refresh probes them again @throws FiddlerError `device` */
export function examineMachine(refresh: boolean): Examination {
  const [cpu] = findDevices(acceleratorKind('none'));
  const probes = new Map(ACCELERATORS.filter((k) => k.gpu).map((kind) => [kind, probeAccelerator(kind, { refresh })]));
  const accelerators = ACCELERATORS.map((kind) => examineAccelerator(kind, probes.get(kind)));
  const features = [...libraryFeatures(cpu!.pointer)].filter(([name]) => !BUILD_OPTIONS.has(name));
  const libraries = loadedLibraries();
  return {
    cpu: {
      model: cpus()[0]?.model.trim() ?? cpu!.description,
      cores: usableCores(),
      hardwareThreads: usableCpus(),
      features: features.map(([name, value]) => (value === '1' ? name : `${name}=${value}`)),
      library: libraries.map(({ file }) => basename(file)).find((name) => name.includes('ggml-cpu')),
      kernels: loadExpertKernels()?.available ?? [],
    },
    ram: availableRam(),
    accelerators,
    auto: chooseAccelerator('auto', (kind) => probes.get(kind)!).kind.name,
    libraries,
    ggml: ggmlVersion(),
  };
}

function examineAccelerator(kind: AcceleratorKind, probe?: Probe): AcceleratorExamination {
  const { name, summary } = kind;
  if (!probe) return { name, summary, works: true, devices: [] };
  if (!bestDevice(probe)) return { name, summary, works: false, fault: faultOf(probe), devices: probe.devices };
  findDevices(kind); // loads a library that is known to work
  const opened = new Map(devices().map((d) => [d.name, d.pointer]));
  const found = probe.devices.map((device) => {
    const pointer = opened.get(device.name);
    return pointer && device.fault === undefined ? { ...device, ...deviceMemory(pointer) } : device;
  });
  return { name, summary, works: true, devices: found };
}

/** ggml's libraries among those that this process has loaded. */
function loadedLibraries(): Examination['libraries'] {
  const report = process.report.getReport() as unknown as { sharedObjects: string[] };
  const ours = new Set(Object.values(findLibraries().gpu));
  const files = report.sharedObjects.filter((file) => /^(lib)?ggml/.test(basename(file)) || ours.has(file));
  return [...new Set(files)].map((file) => ({ file, version: packageVersion(file) }));
}
