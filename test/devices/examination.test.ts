import { describe, expect, it } from 'vitest';
import { acceleratorKind, findDevices } from '../../src/devices/accelerators.js';
import { examineMachine } from '../../src/devices/examination.js';
import { checkDevice } from '../../src/devices/probe-graph.js';
import { silenceLog } from '../../src/native/ggml/backend.js';

silenceLog();

describe('the machine as the engine sees it', () => {
  it('passes the check of a device on the CPU', () => {
    const [cpu] = findDevices(acceleratorKind('none'));
    expect(checkDevice(cpu!.pointer, false)).toBeUndefined();
  });

  it('names the CPU, its library, and every accelerator', () => {
    const { cpu, accelerators, auto, libraries, ggml } = examineMachine(false);
    expect(cpu.model).not.toBe('');
    expect(cpu.library).toMatch(/ggml-cpu/);
    expect(libraries.map((l) => l.file).join()).toContain(cpu.library);
    if (process.arch === 'x64') expect(cpu.features).toContain('SSE3');
    expect(accelerators.map((a) => a.name)).toEqual(['cuda', 'vulkan', 'host', 'none']);
    for (const { works, fault } of accelerators) expect(works).toBe(fault === undefined);
    expect(accelerators.find((a) => a.name === auto)?.works).toBe(true);
    expect(ggml).toMatch(/^\d+\.\d+\.\d+/);
  });
});
