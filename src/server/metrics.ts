import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Activity, ModelInfo, Report } from '../index.js';
import type { Admission } from './admission.js';

/** Seconds from some milliseconds to minutes. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const BETWEEN = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** Milliseconds between looks at how late the event loop is. By default it is woken every 10, which takes 1% of a core. */
const NEVER = 2 ** 31 - 1;
/** What these looks are for. */
const LAGS = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'];
const LANES = ['resident', 'streamed', 'cpu'] as const;

/** What Prometheus is told. */
export class Metrics {
  readonly registry = new Registry();
  /** When it was last told. */
  #activity: Activity | undefined;
  #info: ModelInfo | undefined;
  /** Of the newest answer that has ended. */
  #decodeRate = 0;
  readonly #lanes: Counter<'lane'>;
  readonly #experts: Counter<'lane'>;
  readonly #exchanges: Counter;
  readonly #requests: Counter<'route' | 'status'>;
  readonly #tokens: Counter<'kind'>;
  readonly #ttft: Histogram;
  readonly #between: Histogram;

  constructor(admission: Admission) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: NEVER });
    for (const name of LAGS) this.registry.removeSingleMetric(`nodejs_eventloop_lag_${name}_seconds`);
    const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Counter({ name: `fiddler_${name}`, help, labelNames, registers });
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name: `fiddler_${name}`,
        help,
        registers,
        collect() {
          this.set(value());
        },
      });
    const histogram = (name: string, help: string, buckets: number[]) =>
      new Histogram({ name: `fiddler_${name}`, help, buckets, registers });
    this.#requests = counter('requests_total', 'Requests that have ended', ['route', 'status']);
    this.#tokens = counter('tokens_total', 'Tokens: of prompts, of these in the KV cache, and generated', ['kind']);
    this.#ttft = histogram('ttft_seconds', 'From a request to its first token', SECONDS);
    this.#between = histogram('inter_token_seconds', 'From a token to the next of its answer', BETWEEN);
    gauge('running', 'Answers that are being generated', () => admission.running);
    gauge('waiting', 'Answers that wait', () => admission.waiting);
    this.#lanes = counter('lane_bytes_total', 'Weight bytes that a lane read or copied', ['lane']);
    this.#experts = counter('lane_experts_total', 'Experts that a lane computed', ['lane']);
    this.#exchanges = counter('exchanges_total', 'Resident experts that were exchanged', []);
    const active = (value: (activity: Activity) => number) => () => (this.#activity ? value(this.#activity) : 0);
    const loaded = (value: (info: ModelInfo) => number) => () => (this.#info ? value(this.#info) : 0);
    gauge('hit_ratio', 'Share of executions with experts on the accelerator', active(hitRatio));
    gauge(
      'kv_rows',
      'Tokens in the KV cache',
      active(({ cachedTokens }) => cachedTokens),
    );
    gauge(
      'accelerator_bytes',
      'Memory taken on the accelerator',
      loaded(({ memory }) => memory.accelerator),
    );
    gauge(
      'ram_bytes',
      'RAM that the model takes',
      loaded(({ memory }) => memory.taken),
    );
    gauge('decode_tokens_per_second', 'Of the last answer', () => this.#decodeRate);
  }

  /** What the model does and has done: before each look at the registry. */
  update(activity: Activity, info: ModelInfo): void {
    this.#activity = activity;
    this.#info = info;
    this.#exchanges.reset();
    this.#exchanges.inc(activity.exchanges);
    for (const lane of LANES) {
      this.#lanes.remove({ lane });
      this.#lanes.inc({ lane }, activity.lanes[lane].bytes);
      this.#experts.remove({ lane });
      this.#experts.inc({ lane }, activity.lanes[lane].experts);
    }
  }

  request(route: string, status: number): void {
    this.#requests.inc({ route, status });
  }

  /** A token came. @param before seconds since the request, or since the token before */
  token(isFirst: boolean, before: number): void {
    (isFirst ? this.#ttft : this.#between).observe(before);
  }

  answer({ promptTokens, cachedTokens, generatedTokens, decodeRate }: Report): void {
    this.#decodeRate = decodeRate;
    this.#tokens.inc({ kind: 'prompt' }, promptTokens);
    this.#tokens.inc({ kind: 'cached' }, cachedTokens);
    this.#tokens.inc({ kind: 'generated' }, generatedTokens);
  }
}

/** Share of the executions of experts that found their weights on the accelerator. */
export function hitRatio({ lanes, hits }: Pick<Activity, 'lanes' | 'hits'>): number {
  const all = LANES.reduce((sum, lane) => sum + lanes[lane].experts, 0);
  return all === 0 ? 0 : hits / all;
}
