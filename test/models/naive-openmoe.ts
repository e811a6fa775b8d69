import { readFileSync } from 'node:fs';
import { readTensors } from '../support/model.js';

/** OpenMoE in float64, a loop a formula: what the engine computes a call of `tokens` as, overflow included. */
export class NaiveOpenMoe {
  private readonly config: Record<string, number>;
  private readonly tensors: Map<string, { shape: readonly number[]; values: Float64Array }>;
  /** Choices that overflowed in the last call. */
  dropped = 0;

  constructor(dir: string) {
    this.config = JSON.parse(readFileSync(`${dir}/config.json`, 'utf8'));
    this.tensors = new Map(
      readTensors(`${dir}/model.safetensors`).map(({ name, shape, data }) => {
        const bits = Uint32Array.from(new Uint16Array(data.slice().buffer), (b) => b << 16);
        return [name, { shape, values: Float64Array.from(new Float32Array(bits.buffer)) }];
      }),
    );
  }

  /** Logits [tokens][vocabulary]. */
  logits(tokens: readonly number[]): number[][] {
    const { hidden_size: hidden, num_hidden_layers: layers, moe_layer_interval: interval } = this.config;
    this.dropped = 0;
    const table = this.get('model.embed_tokens.weight');
    let h = tokens.map((t) => [...table.subarray(t * hidden!, (t + 1) * hidden!)]);
    const add = (to: number[][], what: number[][]) => to.map((row, t) => row.map((x, i) => x + what[t]![i]!));
    for (let l = 0; l < layers!; l++) {
      const at = `model.layers.${l}`;
      h = add(h, this.attention(`${at}.self_attn`, this.norm(`${at}.input_layernorm`, h)));
      const x = this.norm(`${at}.post_attention_layernorm`, h);
      if ((l + 1) % interval! !== 0) h = add(h, this.feedForward(`${at}.mlp`, x));
      else {
        h = add(h, this.experts(`${at}.mlp`, x));
        h = add(h, this.feedForward(`${at}.extra_mlp`, this.norm(`${at}.pre_extra_mlp_layernorm`, h)));
      }
    }
    return this.norm('model.norm', h).map((row) => this.linear('lm_head.weight', row));
  }

  private get(name: string): Float64Array {
    return this.tensors.get(name)!.values;
  }

  /** weight [out, in] · x, for the rows from `first` on where the tensor holds more than one matrix. */
  private linear(name: string, x: readonly number[], first = 0, out = this.get(name).length / x.length): number[] {
    const weight = this.get(name);
    return Array.from({ length: out }, (_, o) => x.reduce((s, v, i) => s + v * weight[(first + o) * x.length + i]!, 0));
  }

  private norm(name: string, rows: number[][]): number[][] {
    const weight = this.get(`${name}.weight`);
    return rows.map((row) => {
      const mean = row.reduce((s, x) => s + x * x, 0) / row.length;
      return row.map((x, i) => (x / Math.sqrt(mean + this.config.rms_norm_eps!)) * weight[i]!);
    });
  }

  private attention(at: string, x: number[][]): number[][] {
    const { num_attention_heads: heads, head_dim: size } = this.config;
    const project = (name: string) => x.map((row) => this.linear(`${at}.${name}_proj.weight`, row));
    const rotated = (rows: number[][]) =>
      rows.map((row, position) =>
        row.map((value, i) => {
          const [j, half] = [i % size!, size! / 2];
          const angle = position * 1e4 ** (-(j % half) / half);
          const other = j < half ? -row[i + half]! : row[i - half]!;
          return value * Math.cos(angle) + other * Math.sin(angle);
        }),
      );
    const [q, k, v] = [rotated(project('q')), rotated(project('k')), project('v')];
    return q.map((query, t) => {
      const mixed = Array.from({ length: heads! * size! }, () => 0);
      for (let head = 0; head < heads!; head++) {
        const from = head * size!;
        const scores = Array.from({ length: t + 1 }, (_, s) =>
          Array.from({ length: size! }, (_, i) => query[from + i]! * k[s]![from + i]!).reduce((a, b) => a + b),
        );
        softmax(scores).forEach((p, s) => {
          for (let i = 0; i < size!; i++) mixed[from + i]! += p * v[s]![from + i]!;
        });
      }
      return this.linear(`${at}.o_proj.weight`, mixed);
    });
  }

  private feedForward(at: string, x: number[][]): number[][] {
    return x.map((row) => {
      const inner = gated(this.linear(`${at}.gate_proj.weight`, row), this.linear(`${at}.up_proj.weight`, row));
      return this.linear(`${at}.down_proj.weight`, inner);
    });
  }

  private experts(at: string, x: number[][]): number[][] {
    const { num_experts: count, router_capacity_factor_eval: factor, router_min_capacity: minimum } = this.config;
    const scores = x.map((row) => softmax(this.linear(`${at}.gate_weight`, row)));
    const ranked = scores.map((row) => [...row.keys()].sort((a, b) => row[b]! - row[a]!));
    let slots = Math.floor((2 * factor! * x.length) / count!);
    if (slots % 2 === 1) slots++;
    slots = Math.max(slots, minimum!);
    const claimed = Array.from({ length: count! }, () => 0);
    const result = x.map((row) => row.map(() => 0));
    for (const rank of [0, 1]) {
      x.forEach((row, t) => {
        const e = ranked[t]![rank]!;
        if (claimed[e]!++ >= slots) {
          this.dropped++;
          return;
        }
        const given = this.expert(`${at}.experts`, e, row);
        for (let i = 0; i < row.length; i++) result[t]![i]! += scores[t]![e]! * given[i]!;
      });
    }
    return result;
  }

  /** Matrices are stored [experts, in, out]. */
  private expert(at: string, e: number, x: readonly number[]): number[] {
    const apply = (name: string, input: readonly number[]) => {
      const { shape, values } = this.tensors.get(`${at}.${name}`)!;
      const [, rows, out] = shape as [number, number, number];
      return Array.from({ length: out }, (_, o) =>
        input.reduce((s, v, i) => s + v * values[(e * rows + i) * out + o]!, 0),
      );
    };
    return apply('wo', gated(apply('wi_gate', x), apply('wi_up', x)));
  }
}

/** a · silu(b) · up with [a, b] = both. */
function gated(both: readonly number[], up: readonly number[]): number[] {
  return up.map((u, i) => {
    const b = both[up.length + i]!;
    return both[i]! * (b / (1 + Math.exp(-b))) * u;
  });
}

function softmax(values: readonly number[]): number[] {
  const best = Math.max(...values);
  const powers = values.map((x) => Math.exp(x - best));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((p) => p / sum);
}
