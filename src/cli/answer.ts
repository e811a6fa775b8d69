import { clearLine, cursorTo } from 'node:readline';
import pc from 'picocolors';
import type { Channel, GeneratedToken } from '../index.js';
import { plural } from './report.js';

/** How often the line on stderr changes at most, in milliseconds. */
const STATUS_EVERY = 100;

/**
 * Writes an answer to stdout as it comes, without the white space around it. Reasoning is written dim before it, or not
 * at all: then a line on stderr, where that is a terminal, says that the model is at work.
 */
export class AnswerPrinter {
  /** Tokens of reasoning so far. */
  reasoning = 0;
  /** The channel of the newest text on stdout. */
  #channel: Channel | undefined;
  /** White space that is written once text of the same channel follows. */
  #space = '';
  readonly #dim = pc.createColors(pc.isColorSupported && process.stdout.isTTY === true).dim;
  readonly #status = new StatusLine();

  constructor(private readonly showReasoning: boolean) {}

  /** Some of the answer itself was written. */
  get answered(): boolean {
    return this.#channel === 'answer';
  }

  write({ text, channel }: GeneratedToken): void {
    if (channel === 'reasoning') this.reasoning++;
    if (channel === 'answer' || (channel && this.showReasoning)) this.#print(text, channel);
    // Behind a text it would be erased together with that text's line.
    else if (channel && !this.#channel) this.#status.show(`reasoning, ${plural(this.reasoning, 'token')}`);
  }

  /** Ends the line, whatever became of the answer. */
  end(): void {
    this.#status.clear();
    if (this.#channel) process.stdout.write('\n');
  }

  #print(text: string, channel: Channel): void {
    const continues = channel === this.#channel;
    const whole = continues ? this.#space + text : text.trimStart();
    const visible = whole.trimEnd();
    this.#space = whole.slice(visible.length);
    if (visible === '') return;
    this.#status.clear();
    if (!continues && this.#channel) process.stdout.write('\n\n');
    process.stdout.write(channel === 'reasoning' ? this.#dim(visible) : visible);
    this.#channel = channel;
  }
}

/** A line at a terminal's stderr that is replaced in place. */
class StatusLine {
  #shownAt: number | undefined;

  show(line: string): void {
    const now = performance.now();
    if (!process.stderr.isTTY || (this.#shownAt !== undefined && now - this.#shownAt < STATUS_EVERY)) return;
    this.clear();
    const { dim } = pc.createColors(pc.isColorSupported);
    process.stderr.write(dim(line));
    this.#shownAt = now;
  }

  clear(): void {
    if (this.#shownAt === undefined) return;
    cursorTo(process.stderr, 0);
    clearLine(process.stderr, 0);
    this.#shownAt = undefined;
  }
}
