import type { Device } from '../devices/device.js';
import { matrixEntries } from '../experts/activations.js';
import { Graph } from '../native/ggml/graph.js';
import { rowBytes, TensorContext, Type, typeName } from '../native/ggml/tensor.js';
import type { Blueprint } from './blueprint.js';

/** The types of a model's experts, such as "Q4_K, down Q6_K"; several of one matrix in different layers "Q4_K/Q6_K". */
export function typesLine({ expertTypes }: Pick<Blueprint, 'expertTypes'>): string {
  const all = expertTypes.flatMap((types) => matrixEntries(types));
  const of = (down: boolean) => {
    const types = all.filter(([name]) => (name === 'down') === down).map(([, type]) => typeName(type));
    return [...new Set(types)].sort().join('/');
  };
  const [inner, down] = [of(false), of(true)];
  return inner === down ? inner : `${inner}, down ${down}`;
}

/** Columns of the matrix that a device is asked about: a multiple of every type's block. */
const COLUMNS = 512;

/** Whether a device multiplies matrices of that type; ggml aborts the process where it is asked to and cannot. */
export function multiplies(device: Device, type: Type): boolean {
  const context = new TensorContext(2);
  const [weight, x] = [context.tensor(type, COLUMNS, 8), context.tensor(Type.F32, COLUMNS, 1)];
  const graph = new Graph(4);
  const supported = device.compute.supports(graph.matmul(weight, x));
  graph.free();
  context.free();
  return supported;
}

/**
 * What a blueprint becomes on a device that lacks some of its types: other matrices are held as float32 there, experts
 * stay on the CPU. A line says so.
 */
export function fitTypes(blueprint: Blueprint, device: Device, onWarning?: (line: string) => void): Blueprint {
  const { parameters, expertTypes } = blueprint;
  const ofExperts = new Set(expertTypes.flatMap((types) => Object.values(types)));
  const ofOthers = new Set(parameters.map(({ type }) => type));
  const lacking = new Set([...ofExperts, ...ofOthers].filter((type) => !multiplies(device, type)));
  if (lacking.size === 0) return blueprint;
  const names = [...lacking].map(typeName).join(', ');
  const expertsOnCpu = [...ofExperts].some((type) => lacking.has(type));
  const consequences = [
    ...(expertsOnCpu ? ['experts stay on the CPU'] : []),
    ...([...ofOthers].some((type) => lacking.has(type)) ? ['other matrices take float32 there'] : []),
  ];
  onWarning?.(`${device.name} does not multiply ${names}: ${consequences.join(', ')}`);
  const held = parameters.map((found) => {
    if (!lacking.has(found.type)) return found;
    return { ...found, type: Type.F32, bytes: rowBytes(Type.F32, found.source.elements) };
  });
  return { ...blueprint, parameters: held, expertsOnCpu };
}
