import { FiddlerError } from '../errors.js';
import type { GenerateOptions } from '../options.js';
import type { Channel, GeneratedToken, Report } from '../report.js';
import type { ChatMessage, ChatTemplate } from '../text/template.js';
import type { EngineThread } from './client.js';
import type { Control } from './control.js';
import { Generation } from './generation.js';
import { checkGenerateOptions } from './validate.js';

/** Options of a conversation: those of every answer, and a system message. */
export interface ChatOptions extends GenerateOptions {
  system?: string;
}

/** What the model has read and written so far, as far as a template may say it again. */
interface Transcript {
  /** The rendered conversation up to where the last answer begins, stand-ins in it. */
  prompt: string;
  /** That answer; '' where more was generated than its text, such as reasoning, which templates drop. */
  answer: string;
  /** Exactly the ids that were read and generated for both. */
  ids: readonly number[];
}

/** A conversation: keeps its history, and has only the new tokens of each turn computed. */
export class Conversation {
  readonly #thread: EngineThread;
  readonly #template: ChatTemplate;
  readonly #options: ChatOptions;
  /** Whether the model was trained on this template, which writes the beginning token itself. */
  readonly #trained: boolean;
  #messages: ChatMessage[] = [];
  #transcript: Transcript | undefined;
  #answering = false;

  /** Made by `Model.chat`. */
  constructor(
    thread: EngineThread,
    { template, trained }: { template: ChatTemplate; trained: boolean },
    options: ChatOptions,
  ) {
    this.#thread = thread;
    this.#template = template;
    this.#trained = trained;
    this.#options = options;
    this.reset();
  }

  /** All messages so far, the system message first. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** Forgets everything but the system message. @throws FiddlerError `usage` while an answer is generated */
  reset(): void {
    this.#refuseWhileAnswering();
    const { system } = this.#options;
    this.#messages = system === undefined ? [] : [{ role: 'system', content: system }];
    this.#transcript = undefined;
  }

  /**
   * Says `text` and generates the answer, in front of which a model may reason: `tokens()` tells both apart by their
   * `channel`, and stop texts are looked for in the answer alone. A turn that fails, or is ended before its answer began,
   * is forgotten; an answer ended early stays as it is. Whether the reasoning of earlier turns is read again is the
   * template's to say: most drop it.
   * @param options in place of the conversation's own, for this answer
   * @throws FiddlerError `usage`: the options, or the last answer is still being generated. While iterating, as
   * {@link Generation}; `context` when the history no longer fits: nothing is dropped, `reset` starts anew
   */
  send(text: string, options: GenerateOptions = {}): Generation {
    const { signal, ...own } = checkGenerateOptions(options);
    const { system, signal: always, ...shared } = this.#options;
    this.#refuseWhileAnswering();
    this.#answering = true;
    const signals = [signal, always].filter((given) => given !== undefined);
    return new Generation(
      (onItem, control) => this.#answer(text, { ...shared, ...own }, onItem, control),
      signals.length > 0 ? AbortSignal.any(signals) : undefined,
    );
  }

  async #answer(
    text: string,
    options: GenerateOptions,
    onToken: (token: GeneratedToken) => void,
    control: Control,
  ): Promise<Report> {
    try {
      const messages = [...this.#messages, { role: 'user', content: text }];
      const rendered = await this.#template.render(messages, { addGenerationPrompt: true });
      const prompt = await this.#encode(rendered);
      const generated: GeneratedToken[] = [];
      const onItem = (token: GeneratedToken) => {
        generated.push(token);
        onToken(token);
      };
      // A model that was trained on a template ends its answers, which may be long where it reasons.
      const maxTokens = options.maxTokens ?? (this.#trained ? Number.POSITIVE_INFINITY : undefined);
      const limited = { ...options, maxTokens };
      const input = { prompt, options: limited, channels: true };
      const report = await this.#thread.call('generate', input, { onItem, control });
      const content = textOf(generated, 'answer');
      if (content === '' && report.finish === 'aborted') return report;
      // The ids of tags and of a stop text are no part of the answer's text.
      const isAnswer = report.finish !== 'stop' && generated.every(({ channel }) => channel === 'answer');
      this.#transcript = isAnswer
        ? {
            prompt: rendered,
            answer: this.#template.answer(content),
            ids: [...prompt, ...generated.map(({ token }) => token)],
          }
        : { prompt: rendered, answer: '', ids: prompt };
      const reasoning = textOf(generated, 'reasoning');
      this.#messages = [...messages, { role: 'assistant', content, ...(reasoning !== '' && { reasoning }) }];
      return report;
    } finally {
      this.#answering = false;
    }
  }

  /** The ids of `rendered`: those of the transcript, as far as it says the same, and what follows encoded anew. */
  async #encode(rendered: string): Promise<readonly number[]> {
    const encode = (text: string) => this.#thread.call('encode', { text, special: !this.#trained, standIns: true });
    const all = await encode(rendered);
    const length = this.#transcript ? sharedLength(this.#transcript, rendered) : undefined;
    if (length === undefined) return all;
    // Encoded alone, what follows might begin otherwise than inside its text (Metaspace).
    const before = await encode(rendered.slice(0, length));
    if (before.some((id, i) => id !== all[i])) return all;
    return [...this.#transcript!.ids, ...all.slice(before.length)];
  }

  #refuseWhileAnswering(): void {
    if (!this.#answering) return;
    throw new FiddlerError('usage', 'the last answer is still being generated', 'wait for it, or end it first');
  }
}

function textOf(tokens: readonly GeneratedToken[], channel: Channel): string {
  return tokens.map((token) => (token.channel === channel ? token.text : '')).join('');
}

/**
 * How much of the start of `rendered` is the transcript's prompt and answer; undefined where it does not begin so.
 * Templates may trim an answer: white space around it does not count.
 */
function sharedLength({ prompt, answer }: Transcript, rendered: string): number | undefined {
  if (!rendered.startsWith(prompt)) return undefined;
  const rest = rendered.slice(prompt.length);
  const lead = rest.length - rest.trimStart().length;
  if (rest.startsWith(answer)) return prompt.length + answer.length;
  for (const body of [answer.trimStart(), answer.trim()])
    if (rest.startsWith(body, lead)) return prompt.length + lead + body.length;
  return undefined;
}
