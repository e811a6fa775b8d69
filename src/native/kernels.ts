import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import koffi from 'koffi';
import { FiddlerError } from '../errors.js';
import { bind, type Calls } from './calls.js';
import { EXPERT_BYTES, EXPERT_TYPES, type ExpertRoutes, type ExpertType } from './expert-arguments.js';
import { nativeLoops, ORDER_DECLARATIONS, type OrderLoops } from './order-loops.js';
import { hold } from './resources.js';
import type { RoutingRule } from './routing-arguments.js';

/** Where `native/build.mjs` leaves the library: the same place seen from src/native and from dist/native. */
const LIBRARY = fileURLToPath(new URL('../../native/build/libfiddler-experts.so', import.meta.url));
const API_VERSION = 6;

/** Memory for native code: an address, or a typed array that lives until the call is complete. */
export type NativeMemory = bigint | ArrayBufferView;

const DECLARATIONS = {
  apiVersion: 'int fk_api_version()',
  kernelName: 'const char* fk_kernel_name()',
  kernelsAvailable: 'const char* fk_kernels_available()',
  selectKernel: 'int fk_select_kernel(const char* name)',
  poolCreate: 'void* fk_pool_create(int threads, const int32_t* cpus, const int32_t* nodes)',
  poolFree: 'void fk_pool_free(void* pool)',
  poolThreads: 'int fk_pool_threads(void* pool)',
  poolBegin: 'void fk_pool_begin(void* pool)',
  poolEnd: 'void fk_pool_end(void* pool)',
  run: 'int fk_experts_run(void* pool, const void* layer, const void* experts, int count, const void* route_tokens, const void* route_weights, int routes, const void* x, void* y, int tokens)',
  start:
    'int fk_experts_start(void* pool, const void* layer, const void* experts, int count, const void* route_tokens, const void* route_weights, int routes, const void* x, void* y, int tokens)',
  wait: 'int fk_experts_wait(void* pool)',
  quantize: 'int fk_quantize(int type, int from_type, const void* from, void* to, int64_t elements)',
  route:
    'int fk_route(void* pool, const void* routing, const void* bias, const void* correction, const void* scales, const void* logits, int tokens, int experts, void* ids, void* weights)',
  memoryPlace: 'void fk_memory_place(void* address, size_t bytes, int nodes)',
  measureRead: 'double fk_measure_read(void* pool, const void* address, size_t bytes)',
  measurePeak: 'double fk_measure_peak(void* pool, int type)',
  poisonScratch: 'void fk_poison_scratch(void* pool, int byte)',
  ...ORDER_DECLARATIONS,
} as const;

type Api = Calls<keyof typeof DECLARATIONS>;

const STATUS: Readonly<Record<number, string>> = {
  [-1]: 'an argument makes no sense',
  [-2]: 'not enough memory for scratch',
  [-3]: 'this CPU or build lacks it',
  [-4]: 'a number is infinite or none',
};

const NOT_FINITE = -4;

/** Types that these kernels quantize to; others are ggml's quantizer's. */
export const BLOCKS_MADE = ['Q4_K', 'Q5_K'] as const satisfies readonly ExpertType[];
type BlocksMade = (typeof BLOCKS_MADE)[number];

function check(status: number, call: string): void {
  if (status === 0) return;
  const problem = `CPU expert kernels: ${call} failed (${STATUS[status] ?? status})`;
  throw new FiddlerError(status === -2 ? 'memory' : 'device', problem, 'use --cpu-kernels ggml');
}

/** What encodeLayer and encodeExperts gave, routes, and x and y, [tokens, hidden] f32 each. */
type ExpertCall = [
  layer: Uint8Array,
  experts: Uint8Array,
  routes: ExpertRoutes,
  x: NativeMemory,
  y: NativeMemory,
  tokens: number,
];

/** A pinned thread pool of the native kernels: the calling thread and `threads - 1` workers. One caller at a time. */
export class ExpertPool {
  readonly threads: number;
  /** Joins the workers and ends them. */
  readonly close: () => void;
  /** What start was given, kept until wait. */
  private pending: unknown[] = [];

  constructor(
    private readonly api: Api,
    private readonly pool: bigint,
  ) {
    this.close = hold(() => api.poolFree(pool));
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
   * @throws FiddlerError `device` where the arguments make no sense, `memory` where scratch cannot be had.
   */
  run(...call: ExpertCall): void {
    check(this.api.run(...this.arguments(...call)), 'run');
  }

  /** As run, but returns while the workers compute; nothing passed may change or be freed until `wait`. */
  start(...call: ExpertCall): void {
    const pending = this.arguments(...call);
    check(this.api.start(...pending), 'start');
    this.pending = pending;
  }

  /** Joins the workers and returns when y is complete; at once where nothing was started. */
  wait(): void {
    check(this.api.wait(this.pool), 'wait');
    this.pending = [];
  }

  /** What `ExpertKernels.route` does, with these threads where tokens are many. */
  route(...call: RouteCall): void {
    route(this.api, this.pool, ...call);
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

  private arguments(...[layer, experts, routes, x, y, tokens]: ExpertCall): unknown[] {
    const count = Math.floor(experts.byteLength / EXPERT_BYTES);
    return [this.pool, layer, experts, count, routes.tokens, routes.weights, routes.tokens.length, x, y, tokens];
  }
}

/** A rule, and what it is given and gives: logits [tokens, experts], ids and weights [tokens, chosen]. */
type RouteCall = [
  rule: RoutingRule,
  encoded: Uint8Array,
  logits: Float32Array,
  tokens: number,
  ids: Int32Array,
  weights: Float32Array,
];

function route(api: Api, pool: bigint | null, ...[rule, encoded, logits, tokens, ids, weights]: RouteCall): void {
  const vectors = [rule.bias?.values ?? null, rule.correction?.values ?? null, rule.scales?.values ?? null];
  const experts = logits.length / tokens;
  check(api.route(pool, encoded, ...vectors, logits, tokens, experts, ids, weights), 'route');
}

/** The native library of CPU expert kernels. */
export class ExpertKernels {
  readonly orderLoops: OrderLoops;

  constructor(private readonly api: Api) {
    this.orderLoops = nativeLoops(api, check);
  }

  /** The kernel in use: `amx-bf16`, `avx512-bf16`, `avx512-vnni`, `avx512`, `avx2` or `portable`. */
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
   * @param nodes the NUMA node of each: its threads take the same rows of each expert every time. Without them there is one
   * @throws FiddlerError `memory` where threads cannot be had.
   */
  pool(threads: number, cpus?: readonly number[], nodes?: readonly number[]): ExpertPool {
    const list = (of?: readonly number[]) => (of ? Int32Array.from(of) : null);
    const pool = this.api.poolCreate(threads, list(cpus), list(nodes));
    if (!pool) check(-2, 'creating a pool of threads');
    return new ExpertPool(this.api, pool);
  }

  /**
   * Writes plain numbers as whole blocks, bit for bit as ggml's quantizer does.
   * @returns false where one of the numbers is infinite or none
   * @throws FiddlerError `device` where the arguments make no sense
   */
  quantize(type: BlocksMade, fromType: ExpertType, from: bigint, to: bigint, elements: number): boolean {
    const status = this.api.quantize(EXPERT_TYPES[type], EXPERT_TYPES[fromType], from, to, elements);
    if (status !== NOT_FINITE) check(status, 'quantizing');
    return status !== NOT_FINITE;
  }

  /**
   * A router's choice for each token, best first, and its weights.
   * @param encoded what encodeRouting gave
   */
  route(...call: RouteCall): void {
    route(this.api, null, ...call);
  }

  /** Puts a matrix's rows, before they are first written, on the nodes whose threads compute them. */
  place(address: bigint, bytes: number, nodes: number): void {
    this.api.memoryPlace(address, bytes, nodes);
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
    const api = bind(DECLARATIONS, (declaration) => library.func(declaration));
    return api.apiVersion() === API_VERSION ? new ExpertKernels(api) : null;
  } catch {
    return null; // built for another system
  }
}

/**
 * Where a mapped file becomes shorter, reading what is gone ends the process by SIGBUS: says `line` on standard error then.
 * Nothing is said where the kernels were not built.
 */
export function sayBusError(line: string): void {
  try {
    koffi.load(LIBRARY).func('void fk_say_bus_error(const char* line)')(`${line}\n`);
  } catch {
    // there is no such library, or an older one
  }
}
