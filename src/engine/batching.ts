import { FiddlerError } from '../errors.js';
import type { Layout } from '../loading/layout.js';
import type { Part } from '../network/batch.js';
import { forward } from '../network/forward.js';
import { LOGIT_ROWS } from '../network/head.js';
import type { Report } from '../report.js';
import type { ModelCalls } from './calls.js';
import type { Outcome } from './engine.js';
import { type Line, Running } from './running.js';
import { type Bounds, schedule } from './schedule.js';
import { Sequence, type SequenceParts } from './sequence.js';
import { Sequences } from './sequences.js';
import { awaits, takeOver } from './shared-prompts.js';
import type { Writing } from './writing.js';

/** Most tokens of prompts in a call beside sequences that decode. */
const BESIDE = 256;

interface Waiting {
  cancelled: () => boolean;
  /** Sequences that it takes. */
  width: number;
  /** Its turn has come, and they are free. */
  begin: () => void;
  /** It was cancelled before that, or asking whether it was has failed. */
  drop: (error?: FiddlerError) => void;
}

/** A part of a call, and whose it is. */
interface Computed {
  line: Line;
  part: Part;
}

export interface BatchingParts extends SequenceParts {
  kvCache: Layout['kvCache'];
  calls: ModelCalls;
  report: (answer: Writing, finish: Report['finish']) => Report;
  /** Of an answer for which nothing was computed. */
  reportDropped: (answer: Writing) => Report;
}

/**
 * Answers that are generated at once, a call of the model for all of them at a time: one joins at the next call, and leaves
 * when it is done. Those for which the KV cache has no room wait in order of arrival.
 */
export class Batching {
  readonly sequences: Sequences<Sequence>;
  private readonly waiting: Waiting[] = [];
  /** In order of arrival. */
  private readonly running: Running[] = [];
  private readonly bounds: Bounds;
  private othersNext = false;
  /** [answers, vocabulary]: a new one for each token would be garbage that V8 lets grow. */
  private readonly logits: Float32Array;

  constructor(private readonly parts: BatchingParts) {
    const { sizes, blueprint } = parts;
    const { sequences, chunk, calls } = sizes;
    const all = Array.from({ length: sequences }, (_, slot) => new Sequence(parts, slot));
    this.sequences = new Sequences(all, !sizes.wholePrompts && !blueprint.spec.encoder);
    this.bounds = { calls, chunk, beside: Math.min(chunk, BESIDE) };
    this.logits = new Float32Array(Math.min(sequences, LOGIT_ROWS) * blueprint.spec.vocabulary);
  }

  /** Nothing is being generated. */
  get idle(): boolean {
    return this.running.length === 0;
  }

  /** Generates an answer from now on. */
  add(answer: Writing, onEnd: Running['onEnd']): void {
    this.waiting.push({
      cancelled: answer.question.cancelled,
      width: answer.width,
      begin: () => this.begin(answer, onEnd),
      drop: (error) => {
        answer.begin();
        onEnd(error ? { error } : { report: this.parts.reportDropped(answer) });
      },
    });
  }

  /** Runs `work`, which takes a sequence and gives it back, once it is its turn and one is free, or it was cancelled. */
  whenFree(work: () => void, cancelled: () => boolean): void {
    const begin = () => {
      for (const { answer } of this.running) answer.alone = false;
      work();
    };
    this.waiting.push({ cancelled, width: 1, begin, drop: () => work() });
  }

  /** What the KV cache has is of no use any more. */
  forget(): void {
    for (const sequence of this.sequences.all) sequence.forget();
  }

  /** Computes the next call for all answers that are there. @returns whether there is more to do */
  advance(): boolean {
    const { calls } = this.parts;
    try {
      this.admit();
      if (this.running.length > 0) calls.run(() => this.compute());
    } catch (error) {
      // What was undone is undone for all.
      for (const running of [...this.running]) this.end(running, { error: FiddlerError.of(error) });
    }
    const [next] = this.waiting;
    return this.running.some(isAwake) || (next !== undefined && this.sequences.hasFree(next.width));
  }

  /** Begins what waits, as far as there is room for it, in order; what was cancelled takes none. */
  private admit(): void {
    let full = false;
    for (const next of [...this.waiting]) {
      const { cancelled, error } = asked(next.cancelled);
      full ||= !cancelled && !this.sequences.hasFree(next.width);
      if (full && !cancelled) continue;
      this.waiting.splice(this.waiting.indexOf(next), 1);
      if (cancelled) next.drop(error);
      else next.begin();
    }
  }

  private begin(answer: Writing, onEnd: Running['onEnd']): void {
    const { prompt } = answer.question;
    const sequence = this.sequences.take(prompt);
    const others = Array.from({ length: answer.width - 1 }, () => this.sequences.take([]));
    if (this.idle) this.parts.experts.statistics.reset();
    answer.begin();
    const running = new Running(answer, [sequence, ...others], onEnd);
    this.running.push(running);
    this.parts.calls.run(() => takeOver(running, this.sequences));
  }

  private compute(): void {
    const { running } = this;
    if (running.length > 1) {
      for (const each of [...running]) {
        each.answer.alone = false;
        if (each.answer.question.cancelled()) this.finish(each, 'aborted');
      }
    }
    const unread = running.find(({ lines }) => lines[0]!.sequence.mustEncode);
    if (unread) {
      const { prompt, cancelled } = unread.answer.question;
      if (!unread.lines[0]!.sequence.encode(prompt, cancelled)) {
        this.finish(unread, 'aborted'); // another may be unread too
        return;
      }
    }
    const call = this.nextCall();
    if (call.length === 0) return;
    const { network, experts, rebalancer } = this.parts;
    const batch = call.map(({ part }) => part);
    if (!forward(network.decoder, experts, batch, () => call.every(isCancelled))) {
      for (const each of new Set(call.map(({ line }) => line.running))) this.finish(each, 'aborted');
      return;
    }
    let tokens = 0;
    for (const { line, part } of call) {
      line.running.begun = true;
      line.sequence.computed(part);
      tokens += part.tokens.length;
    }
    rebalancer?.afterCall(tokens);
    this.choose(call);
  }

  /** The parts of the next call: of neighbours in the KV cache that decode one behind the other, prompts behind them. */
  private nextCall(): Computed[] {
    const { sizes } = this.parts;
    const ready = this.alike();
    if (ready.length === 1 && this.running.length === 1) return [partOf(ready[0]!, sizes.chunk)];
    const demands = ready.map(({ pending }) => ({ pending, whole: sizes.wholePrompts }));
    const counts = schedule(demands, this.bounds);
    const call = ready.flatMap((each, i) => (counts[i]! > 0 ? [partOf(each, counts[i]!)] : []));
    return call.sort((a, b) => Number(isPrompt(a)) - Number(isPrompt(b)) || a.part.slot - b.part.slot);
  }

  /** Lines that can be computed in one call; where they are of two kinds, each in turn. */
  private alike(): Line[] {
    const ready = this.running.filter((running) => isAwake(running) && !this.waits(running));
    const lines = ready.flatMap((running) => running.lines);
    const read = lines.filter(({ sequence }) => !sequence.mustEncode);
    for (const { tokens, sequence } of read) sequence.resize(tokens.length);
    const open = read.filter(({ pending }) => pending > 0);
    const alike = open.filter(({ sequence }) => sequence.isLike(open[0]!.sequence));
    if (alike.length === open.length) return open;
    this.othersNext = !this.othersNext;
    return this.othersNext ? alike : open.filter((each) => !alike.includes(each));
  }

  /** Whether an answer waits for another to compute what its prompt begins with; once that is done it takes that over. */
  private waits(running: Running): boolean {
    if (running.begun || !this.sequences.copies) return false;
    if (awaits(running, this.running.filter(isAwake))) return true; // who rests may do so without end
    takeOver(running, this.sequences);
    return false;
  }

  /** Has the next token chosen of each line whose tokens are all in the KV cache. */
  private choose(call: readonly Computed[]): void {
    let row = -1;
    const rows: number[] = [];
    const complete: Line[] = [];
    for (const { line, part } of call) {
      row += part.tokens.length;
      if (line.pending > 0) continue;
      rows.push(row);
      complete.push(line);
    }
    this.parts.network.head.each(rows, (logits, i) => this.take(complete[i]!, logits), this.logits);
  }

  private take(line: Line, logits: Float32Array): void {
    const { running } = line;
    if (!this.running.includes(running)) return; // another of its lines failed
    const step = this.step(line, logits);
    if (!step) return;
    if ('parents' in step) running.fork(step.parents);
    else this.end(running, step);
  }

  /** What fails here fails for this answer alone. */
  private step({ running, number }: Line, logits: Float32Array): Outcome | { parents: readonly number[] } | undefined {
    const { answer, sequences } = running;
    try {
      const step = answer.next(logits, number);
      return step && 'finish' in step ? { report: this.parts.report(answer, step.finish) } : step;
    } catch (error) {
      for (const sequence of sequences) this.clear(sequence);
      return { error: FiddlerError.of(error) };
    }
  }

  /** Rows that are not numbers would live on: here, and in copies of which no logits were seen yet. */
  clear(sequence: Sequence): void {
    sequence.forget();
    this.parts.kvCache.clearSlot(sequence.slot);
    for (const each of this.running) {
      if (each.from !== sequence || each.answer.watch.generated > 0) continue;
      each.from = undefined;
      this.clear(each.lines[0]!.sequence);
    }
  }

  private finish(running: Running, finish: Report['finish']): void {
    this.end(running, { report: this.parts.report(running.answer, finish) });
  }

  private end(running: Running, outcome: Outcome): void {
    this.running.splice(this.running.indexOf(running), 1);
    for (const sequence of running.sequences) this.sequences.give(sequence);
    running.onEnd(outcome);
  }
}

/** A caller's function, which may fail. */
function asked(cancelled: () => boolean): { cancelled: boolean; error?: FiddlerError } {
  try {
    return { cancelled: cancelled() };
  } catch (error) {
    return { cancelled: true, error: FiddlerError.of(error) };
  }
}

function partOf(line: Line, most: number): Computed {
  return { line, part: line.sequence.part(line.tokens, most) };
}

/** What was cancelled ends, though it rested. */
function isAwake({ answer: { question } }: Running): boolean {
  return question.rests?.() !== true || question.cancelled();
}

function isCancelled({ line }: Computed): boolean {
  return line.running.answer.question.cancelled();
}

function isPrompt({ part }: Computed): boolean {
  return part.tokens.length > 1;
}
