import { type AcceleratorKind, acceleratorKind, GPU, openAccelerator, openCpu } from '../devices/accelerators.js';
import { type Choice, resolveAccelerator } from '../devices/choice.js';
import { availableRam, usableCores, usableCpus } from '../devices/cores.js';
import { Device, HostMemory } from '../devices/device.js';
import { checkExactness } from '../devices/environment.js';
import { deviceMemory, devices, silenceLog } from '../native/ggml/backend.js';
import { Threadpool } from '../native/ggml/threadpool.js';
import type { LoadOptions } from '../options.js';

/** Kept free on an accelerator for what ggml and the driver take beside our own buffers. */
const RESERVE_BYTES = 512 * 2 ** 20;

interface MachineOptions extends Pick<LoadOptions, 'dtype' | 'threads' | 'debug' | 'onWarning'> {
  /** Devices only count what would be taken of them. */
  countsOnly?: boolean;
  /** A machine that is not here; its devices only count. */
  standIn?: StandIn;
}

/** What another machine has; bytes. */
export interface StandIn {
  /** Of its GPU. */
  gpu: { name: string; memory: number };
  cores: number;
  ram: number;
}

/** What a model runs on, as ggml's libraries name it. */
export interface Hardware {
  cpu: string;
  /** Cores this process may use. */
  cores: number;
  /** Bytes. */
  ram: number;
  /** A GPU in use; memory in bytes. */
  accelerator?: { name: string; memory: number };
}

/** Cores from which on one thread fewer costs less than what the rest of the process takes from so many that wait for each other. */
const MANY = 9;

/**
 * One thread a core; where a GPU is fed beside them, the thread that does so keeps a core. Of many cores one is left to the
 * rest of the process, where it has no hardware threads beside them.
 * @param cpus hardware threads of these cores
 */
export function defaultThreads({ gpu }: AcceleratorKind, cores: number, cpus = cores): number {
  const spare = gpu ? cores > 2 : cores >= MANY && cpus <= cores;
  return spare ? cores - 1 : cores;
}

/** A GPU that is not here: its memory is only counted, as that of the CPU's stand-in for one. */
function standInChoice({ gpu }: StandIn): Choice {
  return { kind: { ...acceleratorKind('host'), ...GPU, name: gpu.name } };
}

/** The devices that a model is divided between. */
export class Machine {
  readonly cpu: Device;
  /** The CPU itself where nothing is offloaded. */
  readonly accelerator: Device;
  readonly kind: AcceleratorKind;
  /** What the accelerator holds takes RAM: it is a stand-in for a GPU, a GPU in software, or one without memory of its own. */
  readonly inRam: boolean;
  /** Buffers in the host's memory that the accelerator copies from: pinned where it has such. */
  readonly hostMemory: HostMemory;
  /** Threads that compute experts on the CPU. */
  readonly threads: number;
  /** The devices only count what would be taken of them. */
  readonly countsOnly: boolean;
  private readonly standIn?: StandIn;
  private pool: Threadpool;

  /**
   * @param accelerator a name in the registry, or `auto`
   * @throws FiddlerError `usage` (no such accelerator), `device` (asked for by name, and not there or not working)
   */
  constructor(accelerator: string, options: MachineOptions = {}) {
    const { threads, debug, onWarning, standIn } = options;
    const countsOnly = standIn !== undefined || options.countsOnly === true;
    const choice = standIn ? standInChoice(standIn) : resolveAccelerator(accelerator, onWarning);
    if (!countsOnly) checkExactness(choice.kind.library, options.dtype);
    if (!debug) silenceLog();
    this.kind = choice.kind;
    this.inRam = !choice.kind.gpu || choice.inRam === true;
    this.countsOnly = countsOnly;
    this.standIn = standIn;
    this.cpu = openCpu(countsOnly);
    this.accelerator = standIn
      ? new Device(standIn.gpu.name, this.cpu.pointer, false, 2, countsOnly)
      : openAccelerator(this.kind, this.cpu, choice.device, countsOnly);
    // ggml's instances reuse descriptor sets, and Mesa's lavapipe (22.3) touches every buffer that a set ever named.
    this.accelerator.compute.renews = choice.software === true;
    const { bufferType } = this.cpu;
    const pinned = this.kind.gpu && !standIn;
    const type = pinned ? this.accelerator.hostBufferType(bufferType) : bufferType;
    this.hostMemory = new HostMemory(type, this.kind.reachesHost && !standIn);
    const cpus = standIn?.cores ?? usableCpus();
    this.threads = Math.min(threads ?? defaultThreads(this.kind, standIn?.cores ?? usableCores(), cpus), cpus);
    if (threads !== undefined && threads > cpus) {
      onWarning?.(`${threads} threads are more than the CPUs that may be used: ${cpus} compute`);
    }
    this.pool = countsOnly ? this.startPool(1, false) : this.startPool(this.threads, true);
  }

  private startPool(threads: number, spin: boolean): Threadpool {
    const pool = new Threadpool(this.cpu.pointer, threads, spin);
    pool.attach(this.cpu.compute);
    if (!this.kind.gpu && this.accelerator !== this.cpu) pool.attach(this.accelerator.compute);
    return pool;
  }

  /**
   * Leaves the cores to the native kernels' pool: what ggml still computes on the CPU is little beside a GPU (one
   * thread does it), and all but the experts without one (its threads then sleep between graphs).
   */
  yieldCores(): void {
    const spinning = this.pool;
    this.pool = this.startPool(this.kind.gpu ? 1 : this.threads, false);
    spinning.free();
  }

  /** Bytes of the accelerator that can be taken now. */
  freeMemory(): number {
    if (this.standIn) return Math.max(0, this.standIn.gpu.memory - RESERVE_BYTES);
    return Math.max(0, deviceMemory(this.accelerator.pointer).free - RESERVE_BYTES);
  }

  /** This machine is not the one that the program runs on. */
  get elsewhere(): boolean {
    return this.standIn !== undefined;
  }

  /** Bytes of RAM that can be taken, and all there are. */
  get ram(): { available: number; total: number } {
    return this.standIn ? { available: this.standIn.ram, total: this.standIn.ram } : availableRam();
  }

  get hardware(): Hardware {
    const named = ({ pointer }: Device) => devices().find((d) => d.pointer === pointer)!.description;
    const { kind, accelerator, cpu } = this;
    const gpu = kind.gpu ? { name: named(accelerator), memory: deviceMemory(accelerator.pointer).total } : undefined;
    return { cpu: named(cpu), cores: usableCores(), ram: availableRam().total, accelerator: gpu };
  }
}
