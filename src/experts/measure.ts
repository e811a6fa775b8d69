import type { Routes } from './assignments.js';
import { interpolate, NO_COSTS, type Sample } from './costs.js';
import type { Experts } from './experts.js';
import type { Costs, LaneName, Share } from './policy.js';
import type { ExpertsSpec } from './spec.js';

/** Tokens of the measured calls. */
const TOKENS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
/** No measurement goes on for longer than this. */
const LIMIT_MS = 150;

/**
 * Measures what missing experts cost in each lane on this machine, alone and with both lanes running; takes the first
 * layer that misses some. Leaves the costs as they are where no expert is missing.
 */
export function measureCosts(
  experts: Experts,
  layers: readonly ExpertsSpec[],
  sizes: { chunk: number; streams: boolean },
): void {
  if (!experts.offloads) return;
  const missingOf = (l: number) => [...Array(layers[l]!.count).keys()].filter((e) => !experts.resident.has(l, e));
  const layer = layers.findIndex((_, l) => missingOf(l).length > 0);
  if (layer < 0) return;
  const meter = new Meter(experts, layer, layers[layer]!.chosen, missingOf(layer));
  const cpu = meter.byTokens('cpu', sizes.chunk);
  experts.costs.set({ ...NO_COSTS, cpu: interpolate(cpu) }, false);
  if (!sizes.streams) return;
  const streamed = meter.byTokens('streamed', sizes.chunk);
  const copy = streamed[0]!.ms;
  const accelerator = interpolate(streamed.map(({ tokens, ms }) => ({ tokens, ms: Math.max(0, ms - copy) })));
  const overlap = experts.overlaps;
  const contention = overlap ? meter.contention(cpu[0]!.ms, copy) : NO_COSTS.contention;
  experts.costs.set({ cpu: interpolate(cpu), copy, accelerator, overlap, contention }, true);
}

/** Times made-up calls of one layer. */
class Meter {
  private turn = 0;

  constructor(
    private readonly experts: Experts,
    private readonly layer: number,
    private readonly chosen: number,
    private readonly missing: readonly number[],
  ) {}

  /** Milliseconds of one expert in a lane for growing numbers of tokens, until one call exceeds the limit. */
  byTokens(lane: LaneName, chunk: number): Sample[] {
    const samples: Sample[] = [];
    for (const tokens of TOKENS.filter((n) => n <= chunk)) {
      const ms = this.median(() => {
        const expert = this.next();
        this.experts.measure(this.routes([expert], tokens), [{ expert, tokens, lane }]);
        this.experts.wait();
      });
      samples.push({ tokens, ms });
      if (ms > LIMIT_MS) break;
    }
    return samples;
  }

  /** How many times longer a single-token expert takes on the CPU, and its copy, while the other lane runs too. */
  contention(cpuMs: number, copyMs: number): Costs['contention'] {
    const onCpu = Math.min(this.chosen, this.missing.length);
    const streamed = Math.max(1, Math.min(onCpu, Math.round((onCpu * cpuMs) / copyMs)));
    const rounds = Math.max(2, Math.ceil(LIMIT_MS / (onCpu * cpuMs)));
    const begin = performance.now();
    for (let i = 0; i < rounds; i++) {
      const plan: Share[] = [];
      for (let s = 0; s < streamed; s++) plan.push({ expert: this.next(), tokens: 1, lane: 'streamed' });
      for (let c = 0; c < onCpu; c++) plan.push({ expert: this.next(), tokens: 1, lane: 'cpu' });
      this.experts.measure(this.routes(plan.map((p) => p.expert).slice(0, this.chosen), 1), plan);
    }
    const together = performance.now() - begin;
    this.experts.wait();
    const after = performance.now() - begin - together;
    const copiedTogether = Math.max(1, rounds * streamed - after / copyMs);
    const slower = (measured: number, alone: number) => Math.min(4, Math.max(1, measured / alone));
    return { cpu: slower(together / (rounds * onCpu), cpuMs), copy: slower(together / copiedTogether, copyMs) };
  }

  private next(): number {
    return this.missing[this.turn++ % this.missing.length]!;
  }

  private median(run: () => void): number {
    run();
    const times: number[] = [];
    const begin = performance.now();
    while (times.length < 5 && (times.length === 0 || performance.now() - begin < LIMIT_MS)) {
      const start = performance.now();
      run();
      times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b)[times.length >> 1]!;
  }

  /** Routes of a call whose tokens all go to the same experts. */
  private routes(ids: readonly number[], tokens: number): Routes {
    const experts = new Int32Array(tokens * this.chosen).fill(-1);
    const weights = new Float32Array(tokens * this.chosen);
    for (let t = 0; t < tokens; t++) {
      experts.set(ids, t * this.chosen);
      weights.fill(1, t * this.chosen, t * this.chosen + ids.length);
    }
    return { layer: this.layer, tokens, chosen: this.chosen, experts, weights };
  }
}
