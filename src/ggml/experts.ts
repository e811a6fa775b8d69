import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import koffi from 'koffi';
import { FiddlerError } from '../errors.js';

/** Where `native/build.mjs` leaves the library: the same place seen from src/ggml and from dist/ggml. */
const LIBRARY = fileURLToPath(new URL('../../native/build/libfiddler-experts.so', import.meta.url));
const API_VERSION = 2;

/** Weight types the kernels read, as in `fk_type`. */
export const EXPERT_TYPES = { F32: 0, F16: 1, BF16: 2, Q8_0: 3 } as const;
export type ExpertType = keyof typeof EXPERT_TYPES;

/** As in `fk_activation`; `swiglu-clamped` is gpt-oss's. */
export const EXPERT_ACTIVATIONS = { silu: 0, 'swiglu-clamped': 1, gelu: 2, 'gelu-tanh': 3, relu: 4 } as const;
export type ExpertActivation = keyof typeof EXPERT_ACTIVATIONS;

/** Memory for native code: an address, or a typed array that lives until the call is complete. */
export type NativeMemory = bigint | ArrayBufferView;

const DECLARATIONS = {
  apiVersion: 'int fk_api_version()',
  kernelName: 'const char* fk_kernel_name()',
  kernelsAvailable: 'const char* fk_kernels_available()',
  selectKernel: 'int fk_select_kernel(const char* name)',
  poolCreate: 'void* fk_pool_create(int threads, const int32_t* cpus)',
  poolFree: 'void fk_pool_free(void* pool)',
  poolThreads: 'int fk_pool_threads(void* pool)',
  poolBegin: 'void fk_pool_begin(void* pool)',
  poolEnd: 'void fk_pool_end(void* pool)',
  run: 'int fk_experts_run(void* pool, const void* layer, const void* experts, int count, const void* route_tokens, const void* route_weights, int routes, const void* x, void* y, int tokens)',
  start:
    'int fk_experts_start(void* pool, const void* layer, const void* experts, int count, const void* route_tokens, const void* route_weights, int routes, const void* x, void* y, int tokens)',
  wait: 'int fk_experts_wait(void* pool)',
  memoryAdvise: 'void fk_memory_advise(void* address, size_t bytes)',
  measureRead: 'double fk_measure_read(void* pool, const void* address, size_t bytes)',
  measurePeak: 'double fk_measure_peak(void* pool, int type)',
  poisonScratch: 'void fk_poison_scratch(void* pool, int byte)',
} as const;

type Library = ReturnType<typeof koffi.load>;
type Api = Record<keyof typeof DECLARATIONS, ReturnType<Library['func']>>;

const STATUS: Readonly<Record<number, string>> = {
  [-1]: 'an argument makes no sense',
  [-2]: 'not enough memory for scratch',
  [-3]: 'this CPU or build lacks it',
};

function check(status: number, call: string): void {
  if (status === 0) return;
  const problem = `CPU expert kernels: ${call} failed (${STATUS[status] ?? status})`;
  throw new FiddlerError(status === -2 ? 'memory' : 'device', problem, 'use --cpu-kernels ggml');
}

/** What the experts of one call have in common. */
export interface ExpertLayer {
  /** d, the width of x and y. */
  readonly hidden: number;
  readonly type: ExpertType;
  readonly activation: ExpertActivation;
  /** Upcast weights and compute in f32; otherwise activations (and f16 and Q8_0 weights) may be rounded to bf16. */
  readonly fullF32?: boolean;
  /** Of `swiglu-clamped`. */
  readonly alpha?: number;
  readonly limit?: number;
  /** What y holds counts as 0, in every row of it. */
  readonly overwrite?: boolean;
}

/** Where one expert lies. 0n is an absent gate or bias. */
export interface ExpertPlace {
  /** Addresses of row-major gate and up [ff, d] and down [d, ff]. */
  readonly gate: bigint;
  readonly up: bigint;
  readonly down: bigint;
  /** Addresses of f32 vectors. */
  readonly gateBias?: bigint;
  readonly upBias?: bigint;
  readonly downBias?: bigint;
  /** Bytes from one row to the next. */
  readonly gateStride: number;
  readonly upStride: number;
  readonly downStride: number;
}

/** What of an expert is computed, and for which tokens. */
export interface ExpertPart {
  /** Rows [rowBegin, rowEnd) of gate and up, which are columns of down. */
  readonly rowBegin: number;
  readonly rowEnd: number;
  /** Its stretch of the call's routes. */
  readonly firstRoute: number;
  readonly routes: number;
}

/** One expert of a call. Of an expert computed in parts, one part carries `downBias`. */
export type ExpertTask = ExpertPlace & ExpertPart;

const LAYER_BYTES = 28;
const EXPERT_BYTES = 88;
/** Offset of the numbers that change from call to call, 32 bits each. */
const PART_OFFSET = 72;

/** `fk_layer` as bytes. */
export function encodeLayer(layer: ExpertLayer): Uint8Array {
  const view = new DataView(new ArrayBuffer(LAYER_BYTES));
  view.setInt32(0, layer.hidden, true);
  view.setInt32(4, EXPERT_TYPES[layer.type], true);
  view.setInt32(8, EXPERT_ACTIVATIONS[layer.activation], true);
  view.setInt32(12, layer.fullF32 ? 1 : 0, true);
  view.setFloat32(16, layer.alpha ?? 0, true);
  view.setFloat32(20, layer.limit ?? 0, true);
  view.setInt32(24, layer.overwrite ? 1 : 0, true);
  return new Uint8Array(view.buffer);
}

/** The part of an `fk_expert` that is the same in every call, as bytes. */
export function encodePlace(place: ExpertPlace): Uint8Array {
  const { gate, up, down, gateBias = 0n, upBias = 0n, downBias = 0n } = place;
  const strides = [place.gateStride, place.upStride, place.downStride].map(BigInt);
  return new Uint8Array(BigInt64Array.of(gate, up, down, gateBias, upBias, downBias, ...strides).buffer);
}

/** An array of `fk_expert`, refilled for every call. */
export class ExpertList {
  private readonly bytes: Uint8Array;
  private readonly words: Int32Array;
  private length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity * EXPERT_BYTES);
    this.words = new Int32Array(this.bytes.buffer);
  }

  clear(): void {
    this.length = 0;
  }

  /** @param place what `encodePlace` gave */
  add(place: Uint8Array, rowBegin: number, rowEnd: number, firstRoute: number, routes: number): void {
    const at = this.length++ * EXPERT_BYTES;
    this.bytes.set(place, at);
    const word = (at + PART_OFFSET) / 4;
    this.words[word] = rowBegin;
    this.words[word + 1] = rowEnd;
    this.words[word + 2] = firstRoute;
    this.words[word + 3] = routes;
  }

  /** What `ExpertPool.start` takes. */
  get encoded(): Uint8Array {
    return this.bytes.subarray(0, this.length * EXPERT_BYTES);
  }
}

/** An array of `fk_expert` as bytes. */
export function encodeExperts(experts: readonly ExpertTask[]): Uint8Array {
  const list = new ExpertList(experts.length);
  for (const e of experts) list.add(encodePlace(e), e.rowBegin, e.rowEnd, e.firstRoute, e.routes);
  return list.encoded;
}

/** A layer's routes: entry i sends token `tokens[i]` (a row of x and y) to an expert with weight `weights[i]`. */
export interface ExpertRoutes {
  readonly tokens: Int32Array;
  readonly weights: Float32Array;
}

/** A pinned thread pool of the native kernels: the calling thread and `threads - 1` workers. One caller at a time. */
export class ExpertPool {
  readonly threads: number;
  /** What start was given, kept until wait. */
  private pending: unknown[] = [];

  constructor(
    private readonly api: Api,
    private readonly pool: bigint,
  ) {
    this.threads = api.poolThreads(pool);
  }

  /** Whether work was started and not waited for. */
  get busy(): boolean {
    return this.pending.length > 0;
  }

  /** Until `end`, idle workers spin rather than sleep: around a decode step. */
  begin(): void {
    this.api.poolBegin(this.pool);
  }

  end(): void {
    this.api.poolEnd(this.pool);
  }

  /**
   * y[token] += weight · expert(x[token]) for every route of every expert, from zero where the layer overwrites y.
   * `layer` and `experts` are what encodeLayer and encodeExperts gave; x and y are [tokens, hidden] f32.
   * @throws FiddlerError `device` where the arguments make no sense, `memory` where scratch cannot be had.
   */
  run(
    layer: Uint8Array,
    experts: Uint8Array,
    routes: ExpertRoutes,
    x: NativeMemory,
    y: NativeMemory,
    tokens: number,
  ): void {
    check(this.api.run(...this.arguments(layer, experts, routes, x, y, tokens)), 'run');
  }

  /** As run, but returns while the workers compute; nothing passed may change or be freed until `wait`. */
  start(
    layer: Uint8Array,
    experts: Uint8Array,
    routes: ExpertRoutes,
    x: NativeMemory,
    y: NativeMemory,
    tokens: number,
  ): void {
    const pending = this.arguments(layer, experts, routes, x, y, tokens);
    check(this.api.start(...pending), 'start');
    this.pending = pending;
  }

  /** Joins the workers and returns when y is complete; at once where nothing was started. */
  wait(): void {
    this.api.wait(this.pool);
    this.pending = [];
  }

  /** Bytes a second of a plain streaming read of this memory. */
  measureRead(address: NativeMemory, bytes: number): number {
    return this.api.measureRead(this.pool, address, bytes);
  }

  /** FLOP/s of the instruction that multiplies several tokens with weights of a type, on registers alone. */
  measurePeak(type: ExpertType): number {
    return this.api.measurePeak(this.pool, EXPERT_TYPES[type]);
  }

  /** For tests: fills all scratch with a byte. */
  poison(byte: number): void {
    this.api.poisonScratch(this.pool, byte);
  }

  close(): void {
    this.api.poolFree(this.pool);
  }

  private arguments(
    layer: Uint8Array,
    experts: Uint8Array,
    routes: ExpertRoutes,
    x: NativeMemory,
    y: NativeMemory,
    tokens: number,
  ): unknown[] {
    const count = Math.floor(experts.byteLength / EXPERT_BYTES);
    return [this.pool, layer, experts, count, routes.tokens, routes.weights, routes.tokens.length, x, y, tokens];
  }
}

/** The native library of CPU expert kernels. */
export class ExpertKernels {
  constructor(private readonly api: Api) {}

  /** The kernel in use: `amx-bf16`, `avx512-bf16`, `avx512`, `avx2` or `portable`. */
  get name(): string {
    return this.api.kernelName();
  }

  /** Kernels that this build has and this CPU runs, best first. */
  get available(): string[] {
    return (this.api.kernelsAvailable() as string).split(',');
  }

  /** Selects a kernel for all pools, null the best. @throws FiddlerError `device` where it cannot run here. */
  select(name: string | null): void {
    check(this.api.selectKernel(name), `selecting ${name}`);
  }

  /**
   * A pool of `threads` threads. Worker i is pinned to cpus[i], without them to none; cpus[0] is the caller's.
   * @throws FiddlerError `memory` where threads cannot be had.
   */
  pool(threads: number, cpus?: readonly number[]): ExpertPool {
    const pool = this.api.poolCreate(threads, cpus ? Int32Array.from(cpus) : null);
    if (!pool) check(-2, 'creating a pool of threads');
    return new ExpertPool(this.api, pool);
  }

  /** Huge pages and NUMA interleaving for anonymous memory that will hold weights, before it is first written. */
  advise(address: bigint, bytes: number): void {
    this.api.memoryAdvise(address, bytes);
  }
}

let loaded: ExpertKernels | null | undefined;

/** The native kernels, or null where they were not built (or for another version): ggml's serve then. */
export function loadExpertKernels(): ExpertKernels | null {
  if (loaded === undefined) loaded = existsSync(LIBRARY) ? openExpertKernels(LIBRARY) : null;
  return loaded;
}

/** The kernels in a library that was built elsewhere; null where it is for another system or version. */
export function openExpertKernels(path: string): ExpertKernels | null {
  try {
    const library = koffi.load(path);
    const entries = Object.entries(DECLARATIONS).map(([name, declaration]) => [name, library.func(declaration)]);
    const api: Api = Object.fromEntries(entries);
    return api.apiVersion() === API_VERSION ? new ExpertKernels(api) : null;
  } catch {
    return null; // built for another system
  }
}
