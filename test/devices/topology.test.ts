import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodesOf, orderCpus, parseList, type Topology } from '../../src/devices/topology.js';

/** Numbers as the kernel lists them: runs joined by a dash. */
function kernelList(numbers: number[]): string {
  const runs: [number, number][] = [];
  for (const n of numbers) {
    const last = runs.at(-1);
    if (last && last[1] === n - 1) last[1] = n;
    else runs.push([n, n]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

/** Cores of one or two hardware threads, on up to three nodes, fast or slow, of whose CPUs some are allowed. */
const machines: fc.Arbitrary<Topology & { names: Map<number, string> }> = fc
  .array(
    fc.record({ threads: fc.integer({ min: 1, max: 2 }), node: fc.nat(2), fast: fc.boolean(), allowed: fc.boolean() }),
    { minLength: 1, maxLength: 32 },
  )
  .filter((cores) => cores.some(({ allowed }) => allowed))
  .chain((cores) => {
    const cpus = cores.flatMap((core, c) => Array.from({ length: core.threads }, (_, t) => ({ ...core, c, t })));
    const numbers = fc.shuffledSubarray([...cpus.keys()], { minLength: cpus.length });
    return fc.tuple(fc.constant(cpus), numbers, fc.boolean());
  })
  .map(([cpus, numbers, hybrid]) => {
    const numbered = cpus.map((cpu, i) => ({ ...cpu, number: numbers[i]! }));
    const those = (which: (cpu: (typeof numbered)[number]) => boolean) =>
      numbered.filter(which).map(({ number }) => number);
    const names = new Map(numbered.map(({ number, c }) => [number, `core ${c}`]));
    return {
      allowed: those(({ allowed }) => allowed).sort((a, b) => a - b),
      nodes: [0, 1, 2].map((node) => those((cpu) => cpu.node === node).sort((a, b) => a - b)),
      core: (cpu) => names.get(cpu),
      ...(hybrid && { fast: those(({ fast }) => fast) }),
      names,
    };
  });

describe('CPUs for threads', () => {
  it('are read from any list of the kernel', () => {
    const numbers = fc.uniqueArray(fc.nat(300), { maxLength: 200 });
    fc.assert(
      fc.property(numbers, (all) => {
        const ascending = all.toSorted((a, b) => a - b);
        expect(parseList(kernelList(ascending))).toEqual(ascending);
      }),
    );
    expect(parseList('0-3,8\n')).toEqual([0, 1, 2, 3, 8]);
  });

  it('are those that are allowed, each once', () => {
    fc.assert(
      fc.property(machines, (machine) => {
        expect(orderCpus(machine).order.toSorted((a, b) => a - b)).toEqual(machine.allowed);
      }),
    );
  });

  it('begin with one of each fast core, and no others of such a core are left then', () => {
    fc.assert(
      fc.property(machines, (machine) => {
        const { order, cores } = orderCpus(machine);
        const { allowed, fast, names } = machine;
        const counted = allowed.filter((cpu) => fast?.includes(cpu) || !allowed.some((other) => fast?.includes(other)));
        const first = order.slice(0, cores).map((cpu) => names.get(cpu));
        expect(new Set(first).size).toBe(cores);
        expect(new Set(first)).toEqual(new Set(counted.map((cpu) => names.get(cpu))));
      }),
    );
  });

  it('go node by node within the first of all cores', () => {
    fc.assert(
      fc.property(machines, (machine) => {
        const { order, cores } = orderCpus(machine);
        const nodes = order.slice(0, cores).map((cpu) => machine.nodes.findIndex((node) => node.includes(cpu)));
        expect(nodes).toEqual(nodes.toSorted((a, b) => a - b));
      }),
    );
  });

  it('are of different cores however the system numbers them', () => {
    const core = (pairs: number[][]) => (cpu: number) => `${pairs.find((pair) => pair.includes(cpu))}`;
    const eight = parseList('0-7');
    const apart = {
      allowed: eight,
      nodes: [eight],
      core: core([
        [0, 4],
        [1, 5],
        [2, 6],
        [3, 7],
      ]),
    };
    const paired = {
      allowed: eight,
      nodes: [eight],
      core: core([
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
      ]),
    };
    expect(orderCpus(apart)).toEqual({ order: [0, 1, 2, 3, 4, 5, 6, 7], cores: 4 });
    expect(orderCpus(paired)).toEqual({ order: [0, 2, 4, 6, 1, 3, 5, 7], cores: 4 });
    expect(orderCpus({ ...paired, fast: [0, 1, 2, 3] })).toEqual({ order: [0, 2, 1, 3, 4, 5, 6, 7], cores: 2 });
  });

  it('count each where the system does not say which share a core', () => {
    expect(orderCpus({ allowed: [5, 7], nodes: [], core: () => undefined })).toEqual({ order: [5, 7], cores: 2 });
  });
});

describe('the nodes of threads', () => {
  const nodes = [[0, 1, 4], [], [2, 3, 5]];

  it('are told where they are several', () => {
    expect(nodesOf({ nodes }, [0, 1, 2, 5])).toEqual([0, 0, 2, 2]);
    expect(nodesOf({ nodes }, [5, 0])).toEqual([2, 0]);
  });

  it('are one where all CPUs are on it, or one is on none that is known', () => {
    expect(nodesOf({ nodes }, [2, 3])).toBeUndefined();
    expect(nodesOf({ nodes }, [0, 2, 9])).toBeUndefined();
    expect(nodesOf({ nodes: [] }, [0, 1])).toBeUndefined();
    expect(nodesOf({ nodes: Array.from({ length: 17 }, (_, cpu) => [cpu]) }, [0, 16])).toBeUndefined();
  });
});
