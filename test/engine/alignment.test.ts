import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { acceleratorKind } from '../../src/devices/accelerators.js';
import { Device } from '../../src/devices/device.js';
import { Graph } from '../../src/native/ggml/graph.js';
import { Tensor } from '../../src/native/ggml/tensor.js';
import { sameAsAlone } from './batching.js';

/** Operations that ggml's Vulkan gives nothing but what begins at the device's alignment. */
const STRICT = ['gatedDeltaNet', 'selectiveScan', 'lightningIndexer'] as const;

/** Large enough for what a token has of these models; masks of the stand-in's KV cache begin at multiples of as many bytes. */
const alignment = 128;

/** Bytes from where a tensor that is part of another begins to where that does. */
let offsets: WeakMap<Tensor, number>;
let native: number;
/** Where operations read what begins elsewhere, and how often they read what does not. */
let found: Map<string, number>;
let right: number;

const offsetOf = (tensor: Tensor) => offsets.get(tensor) ?? 0;

/** Notes where a tensor lies that a method of Graph makes of another. */
function follow(method: 'view' | 'reshape', beyond: (args: readonly unknown[]) => number): void {
  const original = Graph.prototype[method] as (this: Graph, a: Tensor, ...rest: unknown[]) => Tensor;
  vi.spyOn(Graph.prototype, method).mockImplementation(function (this: Graph, a: Tensor, ...rest: unknown[]) {
    const made = original.call(this, a, ...rest);
    offsets.set(made, offsetOf(a) + beyond(rest));
    return made;
  } as never);
}

beforeEach(() => {
  [offsets, native, found, right] = [new WeakMap(), 1, new Map(), 0];
  Object.assign(acceleratorKind('host'), { bindsAligned: true });
  const bindAligned = Device.prototype.bindAligned;
  vi.spyOn(Device.prototype, 'bindAligned').mockImplementation(function (this: Device) {
    bindAligned.call(this);
    native = this.alignment;
    this.alignment = alignment;
  });
  follow('view', ([, offset = 0]) => offset as number);
  follow('reshape', () => 0);
  for (const name of STRICT) {
    const original = Graph.prototype[name] as (this: Graph, ...args: unknown[]) => Tensor;
    vi.spyOn(Graph.prototype, name).mockImplementation(function (this: Graph, ...args: unknown[]) {
      args.forEach((arg, i) => {
        if (!(arg instanceof Tensor)) return;
        if (offsetOf(arg) % alignment === 0) right++;
        else found.set(`${name} ${i}`, offsetOf(arg));
      });
      return original.apply(this, args);
    } as never);
  }
});

afterEach(() => {
  vi.restoreAllMocks();
  Object.assign(acceleratorKind('host'), { bindsAligned: undefined });
});

describe('sequences that are computed at once on a device that binds what is aligned', () => {
  it.each(['qwen3_next', 'kimi_linear', 'nemotron_h', 'deepseek_v4', 'glm_moe_dsa'])(
    'give what each gives alone, and operations read nothing else: %s',
    (name) => {
      sameAsAlone({ accelerator: 'host', model: `test/golden/${name}`, runs: 4, longest: 12 });
      expect(native).toBe(32); // as ggml aligns on CPUs
      expect([...found]).toEqual([]);
      expect(right).toBeGreaterThan(0);
    },
  );
});
