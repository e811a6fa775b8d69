import { expect, it, vi } from 'vitest';
import { openCpu } from '../../src/devices/accelerators.js';
import type { Device } from '../../src/devices/device.js';
import type { Blueprint } from '../../src/loading/blueprint.js';
import { fitTypes, multiplies } from '../../src/loading/types.js';
import { Type, typeName } from '../../src/native/ggml/tensor.js';

const cpu = openCpu();
const { I32, I64, ...ofWeights } = Type;
const types = Object.values(ofWeights);

/** A device that multiplies all types but these. */
function lacking(...names: Type[]): Device {
  const missing = new Set<Type>(names);
  return { name: 'GPU', compute: { supports: () => !missing.has(asked()) } } as unknown as Device;
}

let last: Type = Type.F32;
const asked = () => last;

vi.mock('../../src/native/ggml/graph.js', async (original) => {
  const actual = await original<typeof import('../../src/native/ggml/graph.js')>();
  return {
    ...actual,
    Graph: class extends actual.Graph {
      override matmul(...args: Parameters<InstanceType<typeof actual.Graph>['matmul']>) {
        last = args[0].type;
        return super.matmul(...args);
      }
    },
  };
});

it('finds that the CPU multiplies every type', () => {
  expect(types.filter((type) => !multiplies(cpu, type)).map(typeName)).toEqual([]);
});

it('keeps experts on the CPU, and widens other matrices, where a device lacks their types', () => {
  const found = (type: Type) => ({ type, bytes: 0, source: { type, elements: 512 } });
  const blueprint = {
    parameters: [found(Type.TQ1_0), found(Type.Q4_K)],
    expertTypes: [{ gate: Type.Q4_K, up: Type.Q4_K, down: Type.TQ2_0 }],
  } as unknown as Blueprint;
  const lines: string[] = [];
  const say = (line: string) => lines.push(line);
  expect(fitTypes(blueprint, lacking(), say)).toBe(blueprint);
  const fitted = fitTypes(blueprint, lacking(Type.TQ1_0, Type.TQ2_0), say);
  expect(fitted.expertsOnCpu).toBe(true);
  expect(fitted.parameters.map(({ type, bytes }) => [type, bytes])).toEqual([
    [Type.F32, 2048],
    [Type.Q4_K, 0],
  ]);
  expect(lines).toEqual([
    'GPU does not multiply TQ2_0, TQ1_0: experts stay on the CPU, other matrices take float32 there',
  ]);
});
