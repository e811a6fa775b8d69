import { describe, expect, it, vi } from 'vitest';
import { Device } from '../../src/devices/device.js';
import { loadEngine } from '../../src/engine/load.js';
import { FiddlerError } from '../../src/errors.js';
import { Buffer } from '../../src/native/ggml/backend.js';
import type { LoadOptions } from '../../src/options.js';

const MODEL = 'models/mini-mixtral';

/** Loads on `host` while another process leaves only `limit` bytes for experts there; gives what came of it. */
function load(limit: number, options: LoadOptions) {
  const tries: number[] = [];
  const { allocate } = Device.prototype;
  const spy = vi.spyOn(Device.prototype, 'allocate').mockImplementation(function (this: Device, context, what, type) {
    if (what === 'experts' && this.name === 'host') {
      const bytes = Buffer.sizeOf(context, this.bufferType);
      tries.push(bytes);
      if (bytes > limit) throw new FiddlerError('memory', 'could not allocate experts on host', 'free memory there');
    }
    return allocate.call(this, context, what, type);
  });
  const warnings: string[] = [];
  try {
    const session = loadEngine(MODEL, {
      accelerator: 'host',
      threads: 1,
      ...options,
      onWarning: (line) => warnings.push(line),
    });
    const tokens: number[] = [];
    const report = session.generate(
      [1, 17, 42],
      { maxTokens: 8, temperature: 0 },
      (t) => !tokens.push(t),
      () => false,
    );
    const { experts } = session.info;
    session.close();
    return { tries, warnings, experts, tokens, report };
  } finally {
    spy.mockRestore();
  }
}

describe('accelerator memory that runs out while experts are placed', () => {
  const whole = load(Number.POSITIVE_INFINITY, { expertsResident: 0.5 });
  const [needed] = whole.tries;

  it('is no matter where it does not', () => {
    expect(whole).toMatchObject({ experts: { resident: 24, total: 48 }, warnings: [] });
    expect(whole.tries).toHaveLength(1);
  });

  it('leaves fewer experts resident, one warning, and the same tokens', () => {
    const found = load(needed! * 0.7, { expertsResident: 0.5 });
    const { resident } = found.experts;
    expect(resident).toBeLessThanOrEqual(24 * 0.7);
    expect(resident, 'no more is given up than a step').toBeGreaterThanOrEqual(Math.floor(24 * 0.7 * 0.9) - 1);
    expect(found.tries).toEqual(found.tries.toSorted((a, b) => b - a));
    expect(found.warnings).toHaveLength(1);
    expect(found.warnings[0]).toMatch(/^the memory of host ran out.*: \d+ experts are resident in place of 24$/);
    expect(found.warnings[0]).toContain(`: ${resident} experts`);
    expect(found.tokens).toEqual(whole.tokens);
    expect(found.report.experts.resident).toBe(resident);
  });

  it('leaves none resident where nothing fits', () => {
    const found = load(0, { gpuMemory: 2 ** 30 });
    expect(found.experts.resident).toBe(0);
    expect(found.warnings).toHaveLength(1);
    expect(found.tokens).toEqual(whole.tokens);
  });

  it.each(['lanes', 'stream', 'static'])('computes what was to be resident on the CPU, policy %s', (policy) => {
    const found = load(needed! * 1.5, { expertsResident: 1, policy });
    expect(found.experts.resident).toBeLessThanOrEqual(36);
    expect(found.experts.resident).toBeGreaterThan(24);
    expect(found.tokens).toEqual(whole.tokens);
    expect(found.report.lanes.cpu.experts).toBeGreaterThan(0);
    expect(found.report.lanes.streamed.experts).toBe(0);
  });

  it('leaves an error of another kind as it is', () => {
    const { allocate } = Device.prototype;
    const spy = vi.spyOn(Device.prototype, 'allocate').mockImplementation(function (this: Device, context, what, type) {
      if (what === 'experts') throw new FiddlerError('device', 'the device is gone', 'look for it');
      return allocate.call(this, context, what, type);
    });
    try {
      expect(() => loadEngine(MODEL, { accelerator: 'host', expertsResident: 0.5 })).toThrow('the device is gone');
    } finally {
      spy.mockRestore();
    }
  });
});
