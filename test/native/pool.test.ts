import koffi from 'koffi';
import { describe, expect, it } from 'vitest';
import { type ExpertTask, encodeExperts, encodeLayer } from '../../src/native/expert-arguments.js';
import { loadExpertKernels } from '../../src/native/kernels.js';
import { mapAnonymous, unmap, view } from '../../src/native/os/memory.js';
import { ExpertCase } from './expert-case.js';

const kernels = loadExpertKernels();

describe.skipIf(!kernels)('CPU expert kernels: pool and arguments', () => {
  const layer = encodeLayer({ hidden: 4, upType: 'BF16', downType: 'BF16', activation: 'silu' });
  const routes = { tokens: Int32Array.of(0), weights: Float32Array.of(1) };
  const task: ExpertTask = {
    gate: 0n,
    up: 4096n,
    down: 4096n,
    gateStride: 8,
    upStride: 8,
    downStride: 8,
    rowBegin: 0,
    rowEnd: 4,
    firstRoute: 0,
    routes: 1,
  };

  it('names its kernel, the best first', () => {
    expect(kernels!.available.at(-1)).toBe('portable');
    expect(kernels!.name).toBe(kernels!.available[0]);
    for (const name of kernels!.available) {
      kernels!.select(name);
      expect(kernels!.name).toBe(name);
    }
    kernels!.select(null);
    expect(() => kernels!.select('abacus')).toThrow(/selecting abacus/);
    expect(kernels!.name).toBe(kernels!.available[0]);
  });

  it('refuses arguments that make no sense before it reads a weight', () => {
    const pool = kernels!.pool(1);
    const x = new Float32Array(4);
    const attempt = (change: Partial<ExpertTask>, to = layer, tokens = 1) =>
      pool.run(to, encodeExperts([{ ...task, ...change }]), routes, x, x, tokens);
    expect(() => attempt({ up: 0n })).toThrow(/no sense/);
    expect(() => attempt({ down: 0n })).toThrow(/no sense/);
    expect(() => attempt({ rowBegin: -1 })).toThrow(/no sense/);
    expect(() => attempt({ rowBegin: 5 })).toThrow(/no sense/);
    expect(() => attempt({ firstRoute: 1 })).toThrow(/no sense/);
    expect(() => attempt({ routes: 2 })).toThrow(/no sense/);
    expect(() => attempt({}, layer, 0)).toThrow(/no sense/);
    expect(() => attempt({}, encodeLayer({ hidden: 0, upType: 'BF16', downType: 'BF16', activation: 'silu' }))).toThrow(
      /no sense/,
    );
    for (const activation of ['swiglu-clamped', 'silu-limited'] as const) {
      const limited = encodeLayer({ hidden: 4, upType: 'BF16', downType: 'BF16', activation });
      expect(() => attempt({}, limited)).toThrow(/no sense/);
    }
    expect(() =>
      attempt({}, encodeLayer({ hidden: 40, upType: 'Q8_0', downType: 'Q8_0', activation: 'silu' })),
    ).toThrow(/no sense/);
    expect(() =>
      attempt({ rowEnd: 33 }, encodeLayer({ hidden: 32, upType: 'Q8_0', downType: 'Q8_0', activation: 'silu' })),
    ).toThrow();
    pool.close();
  });

  it('leaves y alone without experts or routes', () => {
    const pool = kernels!.pool(2);
    const y = Float32Array.of(1, 2, 3, 4);
    const none = { tokens: new Int32Array(0), weights: new Float32Array(0) };
    pool.run(layer, encodeExperts([]), none, new Float32Array(4), y, 1);
    pool.run(layer, encodeExperts([{ ...task, routes: 0 }]), none, new Float32Array(4), y, 1);
    expect([...y]).toEqual([1, 2, 3, 4]);
    pool.close();
  });

  it('computes between start and wait, one call at a time', () => {
    const pool = kernels!.pool(2);
    const up = new Uint16Array(4 * 4).fill(0x3f80); // ones
    const down = new Uint16Array(4 * 4).fill(0x3f80);
    const experts = encodeExperts([{ ...task, up: koffi.address(up), down: koffi.address(down) }]);
    const relu = encodeLayer({ hidden: 4, upType: 'BF16', downType: 'BF16', activation: 'relu' });
    const x = Float32Array.of(1, 2, 3, 4);
    const y = new Float32Array(4);
    pool.begin();
    for (let i = 1; i <= 200; i++) {
      pool.start(relu, experts, routes, x, y, 1);
      expect(() => pool.start(relu, experts, routes, x, y, 1)).toThrow(/start failed/);
      expect(pool.busy).toBe(true);
      pool.wait();
      expect(pool.busy).toBe(false);
      expect([...y]).toEqual([40 * i, 40 * i, 40 * i, 40 * i]);
    }
    pool.end();
    pool.close();
  });

  it('wakes workers that fell asleep', async () => {
    const pool = kernels!.pool(3);
    const test = new ExpertCase({ hidden: 64, ff: 64, type: 'F32', tokens: 2 });
    const first = test.run(pool);
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      expect(test.run(pool)).toEqual(first);
    }
    pool.close();
  });

  it('places memory as far as the machine has the nodes, and refuses more than it tells apart', () => {
    const memory = mapAnonymous('test', 1 << 20);
    for (const nodes of [1, 2, 3, 16, 17]) kernels!.place(memory.address + 100n, memory.bytes - 200, nodes);
    const bytes = new Uint8Array(view(memory.address, memory.bytes)).fill(7);
    expect(bytes.every((byte) => byte === 7)).toBe(true);
    unmap(memory);
    expect(() => kernels!.pool(2, undefined, [0, 16])).toThrow(/pool of threads/);
    expect(() => kernels!.pool(2, undefined, [0, -1])).toThrow(/pool of threads/);
  });

  it('measures what the machine can do', () => {
    const pool = kernels!.pool(1);
    expect(pool.measureRead(new Uint8Array(32 << 20), 32 << 20)).toBeGreaterThan(1e8);
    expect(pool.measurePeak('BF16')).toBeGreaterThan(1e8);
    pool.close();
  });
});
