import { pino } from 'pino';
import type { AnswerOptions, ChatMessage, Model, Report } from '../../src/index.js';
import { listen, type Server } from '../../src/server/server.js';
import { reasoningParser } from '../../src/text/reasoning/index.js';
import { namedFormat } from '../../src/text/tools/index.js';
import { CallReader } from '../../src/text/tools/reader.js';
import { Generation } from '../../src/thread/generation.js';
import { TextWriter } from '../../src/thread/writer.js';
import { TAGGED } from '../text/tagged.js';

/** What the model was asked last. */
export interface Asked {
  messages: readonly ChatMessage[];
  variables: Readonly<Record<string, unknown>>;
  options: AnswerOptions;
}

/**
 * A server whose model answers with the text that it is asked to say last, as its own tokens: so that it calls tools and
 * thinks as a test wants it.
 */
export async function scripted(format: string): Promise<{ server: Server; asked: Asked }> {
  const asked: Asked = { messages: [], variables: {}, options: {} };
  const lane = { experts: 0, bytes: 0, ms: 0 };
  const model = {
    info: { name: 'scripted', context: 10_000, architecture: 'decoder', experts: {}, memory: {} },
    async prompt(messages: readonly ChatMessage[], variables: Record<string, unknown> = {}) {
      Object.assign(asked, { messages, variables });
      return TAGGED.encode(messages.map(({ content }) => content).join('\n'));
    },
    answer(prompt: readonly number[], options: AnswerOptions) {
      asked.options = options;
      const script = asked.messages.findLast(({ role }) => role === 'user')!.content;
      return new Generation(async (onItem) => {
        const calls = options.tools?.length
          ? new CallReader(namedFormat(format), options.tools, TAGGED, onItem)
          : undefined;
        const ids = TAGGED.encode(script, { addSpecial: false });
        const writer = new TextWriter({
          tokenizer: TAGGED,
          prompt: [],
          stop: options.stop ?? [],
          // A prompt of harmony ends where an answer begins.
          parser: reasoningParser(TAGGED, format === 'harmony' ? [TAGGED.id('<|start|>')!] : []),
          onToken: calls ? calls.push.bind(calls) : onItem,
        });
        const most = options.maxTokens ?? ids.length;
        let finish: Report['finish'] = most < ids.length ? 'length' : 'end';
        for (const id of ids.slice(0, most)) {
          await new Promise(setImmediate);
          if (!writer.push(id)) continue;
          finish = 'stop';
          break;
        }
        writer.finish();
        calls?.finish();
        return {
          ...{
            finish,
            stop: writer.stop,
            promptTokens: prompt.length,
            cachedTokens: 3,
            generatedTokens: Math.min(most, ids.length),
          },
          ...{ lanes: { resident: lane, streamed: lane, cpu: lane }, decodeRate: 1 },
          ...{ experts: { exchanged: 0, hitRate: 0.5 }, memory: { accelerator: 1, taken: 2 } },
        } as unknown as Report;
      });
    },
    encode: async (text: string) => TAGGED.encode(text),
    decode: async (ids: readonly number[]) => TAGGED.decode(ids, { skipSpecial: false }),
    chatTemplate: async () => '',
    activity: async () => ({
      ...{ cachedTokens: 0, hits: 0, exchanges: 0 },
      lanes: { resident: lane, streamed: lane, cpu: lane },
    }),
  } as unknown as Model;
  const server = await listen({
    ...{ host: '127.0.0.1', port: 0, parallel: 8, queue: 64, keys: [], origins: [], aliases: [] },
    ...{ logPrompts: false, log: pino({ level: 'silent' }) },
  });
  server.service.loaded(model);
  return { server, asked };
}
