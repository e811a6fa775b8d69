import { Contest } from './contest.js';
import type { Policy } from './policy.js';
import { median } from './repeat.js';

/** Passes in a row by one policy while it is compared; the first counts for nothing: what the one before queued is not over. */
const TURN = 4;
/** Turns of each, after which the faster is chosen; fewer where one is faster by so much. */
const TURNS = 4;
const CLEARLY = 1.1;
/** Passes until they are compared again. */
const REST = { least: 128, longest: 8192 };

/**
 * Chooses between two policies by the time that whole passes of the model take, each over all layers for one token: what lanes
 * take from each other beside what the costs say shows there.
 */
export class Rivals {
  /** Milliseconds of passes by each policy since they were last compared. */
  private times: [number[], number[]] = [[], []];
  private readonly contest = new Contest(REST);
  /** The pass at hand: its latest layer, and when it began. */
  private pass?: { layer: number; begin: number };

  /** @param policies the first is chosen where none is faster */
  constructor(
    private readonly policies: readonly [Policy, Policy],
    private readonly layers: number,
  ) {}

  /** The policy for a layer that begins now: the same for all of a pass. @param now milliseconds */
  of(layer: number, now = performance.now()): Policy {
    if (this.pass?.layer === layer - 1) this.pass.layer = layer;
    else this.pass = { layer, begin: now };
    return this.policies[this.current];
  }

  /** A layer is done. */
  done(layer: number, now = performance.now()): void {
    if (layer !== this.layers - 1) return;
    this.passed(now - this.pass!.begin);
    this.pass = undefined;
  }

  /** Which of the policies serves the pass at hand. */
  private get current(): 0 | 1 {
    const { comparing, chosen, passes } = this.contest;
    if (!comparing) return chosen;
    return Math.floor(passes / TURN) % 2 === 0 ? 0 : 1;
  }

  private passed(ms: number): void {
    const { contest } = this;
    if (contest.comparing && contest.passes % TURN > 0) this.times[this.current].push(ms);
    contest.passes++;
    if (contest.comparing) this.compare();
    else contest.wake();
  }

  private compare(): void {
    const { chosen, other, passes } = this.contest;
    if (passes % (2 * TURN) !== 0) return;
    const faster = median(this.times[chosen]) / median(this.times[other]);
    if (passes < 2 * TURN * TURNS && faster < CLEARLY && faster > 1 / CLEARLY) return;
    this.contest.decide(faster);
    this.times = [[], []];
  }
}
