/** What the CPU expert kernels are given, and how C sees it: native/include/fiddler_experts.h. */

/** Weight types the kernels read, by ggml's names, as in `fk_type`. */
export const EXPERT_TYPES = {
  F32: 0,
  F16: 1,
  BF16: 2,
  Q8_0: 3,
  Q4_0: 4,
  Q4_1: 5,
  Q5_0: 6,
  Q5_1: 7,
  Q2_K: 8,
  Q3_K: 9,
  Q4_K: 10,
  Q5_K: 11,
  Q6_K: 12,
  IQ2_XXS: 13,
  IQ2_XS: 14,
  IQ3_XXS: 15,
  IQ3_S: 16,
  IQ4_NL: 17,
  IQ4_XS: 18,
  MXFP4: 19,
  NVFP4: 20,
} as const;
export type ExpertType = keyof typeof EXPERT_TYPES;

/** As in `fk_activation`; `swiglu-clamped` is gpt-oss's, `silu-limited` DeepSeek-V4's. */
export const EXPERT_ACTIVATIONS = {
  silu: 0,
  'swiglu-clamped': 1,
  gelu: 2,
  'gelu-tanh': 3,
  relu: 4,
  'relu-squared': 5,
  'silu-limited': 6,
} as const;
export type ExpertActivation = keyof typeof EXPERT_ACTIVATIONS;

/** What the experts of one call have in common. */
export interface ExpertLayer {
  /** d, the width of x and y. */
  readonly hidden: number;
  /** Of each matrix; gate's is that of up where nothing else is said. */
  readonly gateType?: ExpertType;
  readonly upType: ExpertType;
  readonly downType: ExpertType;
  readonly activation: ExpertActivation;
  /** Upcast weights and compute in f32; otherwise activations may be rounded to 8 bits and all but f32 weights to bf16. */
  readonly fullF32?: boolean;
  /** Of `swiglu-clamped`; the limit of `silu-limited` too. */
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

const LAYER_BYTES = 36;
export const EXPERT_BYTES = 88;
/** Offset of the numbers that change from call to call, 32 bits each. */
const PART_OFFSET = 72;

/** `fk_layer` as bytes. */
export function encodeLayer(layer: ExpertLayer): Uint8Array {
  const view = new DataView(new ArrayBuffer(LAYER_BYTES));
  view.setInt32(0, layer.hidden, true);
  view.setInt32(4, EXPERT_TYPES[layer.gateType ?? layer.upType], true);
  view.setInt32(8, EXPERT_TYPES[layer.upType], true);
  view.setInt32(12, EXPERT_TYPES[layer.downType], true);
  view.setInt32(16, EXPERT_ACTIVATIONS[layer.activation], true);
  view.setInt32(20, layer.fullF32 ? 1 : 0, true);
  view.setFloat32(24, layer.alpha ?? 0, true);
  view.setFloat32(28, layer.limit ?? 0, true);
  view.setInt32(32, layer.overwrite ? 1 : 0, true);
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
