import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import pc from 'picocolors';
import { FiddlerError } from '../errors.js';
import type { Conversation, Model, Report } from '../index.js';
import { AnswerPrinter } from './answer.js';
import { Ending } from './ending.js';
import { messages } from './messages.js';
import { addModelArgument } from './model.js';
import { openModel } from './open.js';
import {
  addCommon,
  addLearningOptions,
  addLoadOptions,
  addSamplingOptions,
  generateOptions,
  type ModelFlags,
  type SamplingFlags,
} from './options.js';
import { plural, rate } from './report.js';

const COMMANDS = '/reset starts a new conversation, /exit ends, Ctrl-C stops an answer';

const EXAMPLES = `
fiddler chat ~/models/Mixtral-8x7B-Instruct-v0.1
fiddler chat --system "Answer in one sentence." --temperature 0.3
printf 'Hello!\\nWho are you?\\n' | fiddler chat DIR`;

interface ChatFlags extends ModelFlags, SamplingFlags {
  system?: string;
  showReasoning?: boolean;
}

export function addChat(program: Command): void {
  const command = program
    .command('chat')
    .summary('hold a conversation')
    .description(
      `A conversation in the model's own chat template; a model without one goes on with what was said. Each line of stdin is a turn; lines that are pasted at a terminal are one. ${COMMANDS}.`,
    )
    .option('--system <text>', 'a system message')
    .option('--show-reasoning', 'print what a model thinks before it answers, too');
  addSamplingOptions(
    addLearningOptions(addLoadOptions(addModelArgument(command))),
    'what the context holds; 256 without a chat template',
  );
  addCommon(command, EXAMPLES).action((_: unknown, flags: ChatFlags) => chat(flags));
}

async function chat(flags: ChatFlags): Promise<void> {
  const ending = new Ending();
  const model = await openModel(flags, ending.signal);
  try {
    const conversation = await model.chat({ ...generateOptions(flags), system: flags.system });
    await new Dialogue(model, conversation, ending, flags.showReasoning === true).run();
  } finally {
    await model.close();
  }
  ending.throwIfEnded();
}

/** A conversation at the terminal, or with the lines of a pipe. */
class Dialogue {
  readonly #interactive = process.stdin.isTTY === true && process.stderr.isTTY === true;

  constructor(
    private readonly model: Model,
    private readonly conversation: Conversation,
    private readonly ending: Ending,
    private readonly showReasoning: boolean,
  ) {}

  async run(): Promise<void> {
    const { signal } = this.ending;
    // Prompts go to stderr: standard output has nothing but answers.
    const terminal = createInterface({ input: process.stdin, output: process.stderr, terminal: this.#interactive });
    const close = () => terminal.close();
    signal.addEventListener('abort', close);
    terminal.on('SIGINT', () => this.ending.interrupt());
    try {
      if (this.#interactive) note(`${this.model.info.name}: ${COMMANDS}`);
      for await (const message of messages(terminal, this.#interactive)) {
        const command = message.trimEnd(); // anything else that begins with a slash is said, such as the name of a file
        if (command === '/exit') break;
        if (command === '/reset') this.conversation.reset();
        else if (command === '/help') note(COMMANDS);
        else if (message.trim() !== '') await this.#turn(message);
        if (signal.aborted) break;
      }
    } finally {
      signal.removeEventListener('abort', close);
      close();
    }
  }

  /** One answer. At a terminal Ctrl-C stops it and nothing else. */
  async #turn(text: string): Promise<void> {
    const stopped = new AbortController();
    if (this.#interactive) this.ending.onInterrupt = () => stopped.abort();
    try {
      await this.#answer(text, AbortSignal.any([stopped.signal, this.ending.signal]));
    } catch (error) {
      if (!(this.#interactive && error instanceof FiddlerError && error.code === 'context')) throw error;
      note(`the context is full: ${error.problem}; nothing was dropped, /reset starts a new conversation`);
    } finally {
      this.ending.onInterrupt = undefined;
    }
  }

  async #answer(text: string, signal: AbortSignal): Promise<void> {
    const generation = this.conversation.send(text, { signal });
    const printer = new AnswerPrinter(this.showReasoning);
    try {
      for await (const token of generation.tokens()) printer.write(token);
    } finally {
      printer.end();
    }
    const report = await generation.report;
    if (!this.ending.outputClosed) this.#summary(report, printer);
  }

  #summary({ generatedTokens, promptTokens, cachedTokens, decodeRate, finish }: Report, printer: AnswerPrinter): void {
    const { context } = this.model.info;
    const used = Math.min(promptTokens + generatedTokens, context);
    const reasoning = printer.reasoning > 0 ? ` (${printer.reasoning} of reasoning)` : '';
    note(
      `${plural(generatedTokens, 'token')}${reasoning}, ${rate(decodeRate)}; context ${used} of ${context}, ${cachedTokens} reused`,
    );
    if (finish === 'length' && used === context)
      note('the context is full, the answer ends here; /reset starts a new conversation');
    else if (finish === 'length' && !printer.answered)
      note('no answer was begun: the reasoning took all tokens; give more of them by --max-tokens');
    else if (finish === 'end' && !printer.answered) note('the model ended without an answer');
  }
}

function note(line: string): void {
  const { dim } = pc.createColors(pc.isColorSupported && process.stderr.isTTY === true);
  process.stderr.write(`${dim(line)}\n`);
}
