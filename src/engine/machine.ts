import { type AcceleratorKind, acceleratorKind, openAccelerator, openCpu } from '../devices/accelerators.js';
import { usableCores } from '../devices/cores.js';
import type { Device } from '../devices/device.js';
import type { Pointer } from '../ggml/api.js';
import { deviceMemory, silenceLog } from '../ggml/backend.js';
import { Threadpool } from '../ggml/threadpool.js';

/** Kept free on an accelerator for what ggml and the driver take beside our own buffers. */
const RESERVE_BYTES = 512 * 2 ** 20;

/** The devices that a model is divided between. */
export class Machine {
  readonly cpu: Device;
  /** The CPU itself where nothing is offloaded. */
  readonly accelerator: Device;
  readonly kind: AcceleratorKind;
  /** Buffers in the host's memory that the accelerator copies from: pinned where it has such. */
  readonly hostType: Pointer;
  private readonly pool: Threadpool;

  /** @param threads default: one for each core this process may use @throws FiddlerError `device` */
  constructor(accelerator: string, threads = usableCores(), debug = false) {
    if (!debug) silenceLog();
    this.kind = acceleratorKind(accelerator);
    this.cpu = openCpu();
    this.accelerator = openAccelerator(this.kind, this.cpu);
    this.hostType = this.kind.gpu ? this.accelerator.hostBufferType(this.cpu.bufferType) : this.cpu.bufferType;
    this.pool = new Threadpool(this.cpu.pointer, threads);
    this.pool.attach(this.cpu.compute);
    if (!this.kind.gpu && this.accelerator !== this.cpu) this.pool.attach(this.accelerator.compute);
  }

  get threads(): number {
    return this.pool.threads;
  }

  /** Bytes of the accelerator that can be taken now. */
  freeMemory(): number {
    return Math.max(0, deviceMemory(this.accelerator.pointer).free - RESERVE_BYTES);
  }

  free(): void {
    if (this.accelerator !== this.cpu) this.accelerator.free();
    this.cpu.free();
    this.pool.free();
  }
}
