import { bind } from '../calls.js';
import { hold } from '../resources.js';
import { api, byAddress, type Pointer } from './api.js';
import type { Backend } from './backend.js';
import { checkPointer } from './status.js';

// ggml_threadpool_params: bool cpumask[512], int n_threads, int prio, uint32 poll, bool strict_cpu, bool paused.
const PARAMS_BYTES = 544;
const POLL_OFFSET = 520;
const POLL_ALWAYS = 100;

/** Functions of the CPU library, which gives their addresses by name: the first argument is the CPU's device. */
const cpuLibrary = bind(
  {
    threadsNew: 'void* ggml_threadpool_new(void* params)',
    threadsFree: 'void ggml_threadpool_free(void* pool)',
    setPool: 'void ggml_backend_cpu_set_threadpool(void* backend, void* pool)',
    setThreads: 'void ggml_backend_set_n_threads(void* backend, int threads)',
  },
  byAddress,
);

/** Threads that stay between graph computations; without one ggml spawns them for each (88 GB/s became 113 with it). */
export class Threadpool {
  readonly free: () => void;
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
    this.pointer = checkPointer(cpuLibrary.threadsNew(cpu, params), 'a thread pool');
    this.free = hold(() => cpuLibrary.threadsFree(cpu, this.pointer));
  }

  /** Lets a CPU backend compute on this pool. All CPU backends share one: two spinning pools would fight for the cores. */
  attach(backend: Backend): void {
    cpuLibrary.setThreads(this.cpu, backend.pointer, this.threads);
    cpuLibrary.setPool(this.cpu, backend.pointer, this.pointer);
  }
}
