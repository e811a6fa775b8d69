import koffi from 'koffi';
import { api, type Pointer } from './api.js';
import type { Backend } from './backend.js';
import { checkPointer } from './status.js';

// ggml_threadpool_params: bool cpumask[512], int n_threads, int prio, uint32 poll, bool strict_cpu, bool paused.
const PARAMS_BYTES = 544;
const POLL_OFFSET = 520;
const POLL_ALWAYS = 100;

const PROTOTYPES = {
  ggml_threadpool_new: koffi.proto('void* ggml_threadpool_new(void* params)'),
  ggml_threadpool_free: koffi.proto('void ggml_threadpool_free(void* pool)'),
  ggml_backend_cpu_set_threadpool: koffi.proto('void ggml_backend_cpu_set_threadpool(void* backend, void* pool)'),
  ggml_backend_set_n_threads: koffi.proto('void ggml_backend_set_n_threads(void* backend, int threads)'),
};

/** A function of the CPU library, which exports them by name only. */
function cpuFunction(cpu: Pointer, name: keyof typeof PROTOTYPES) {
  const ggml = api();
  return koffi.decode(ggml.procAddress(ggml.deviceRegistry(cpu), name), PROTOTYPES[name]);
}

/** Threads that stay between graph computations; without one ggml spawns them for each (88 GB/s became 113 with it). */
export class Threadpool {
  private readonly pointer: Pointer;

  constructor(
    private readonly cpu: Pointer,
    readonly threads: number,
    /** Idle threads wait spinning, for up to half a second: what keeps decoding fast, and every other pool slow. */
    spin: boolean,
  ) {
    const params = Buffer.alloc(PARAMS_BYTES);
    api().threadpoolParams(params, threads);
    params.writeUInt32LE(spin ? POLL_ALWAYS : 0, POLL_OFFSET);
    this.pointer = checkPointer(cpuFunction(cpu, 'ggml_threadpool_new')(params), 'a thread pool');
  }

  /** Lets a CPU backend compute on this pool. All CPU backends share one: two spinning pools would fight for the cores. */
  attach(backend: Backend): void {
    cpuFunction(this.cpu, 'ggml_backend_set_n_threads')(backend.pointer, this.threads);
    cpuFunction(this.cpu, 'ggml_backend_cpu_set_threadpool')(backend.pointer, this.pointer);
  }

  free(): void {
    cpuFunction(this.cpu, 'ggml_threadpool_free')(this.pointer);
  }
}
