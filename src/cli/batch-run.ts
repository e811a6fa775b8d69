import { pino } from 'pino';
import type { Model } from '../index.js';
import { answerRequest, type BatchRecord, type BatchRequest, readRequest, refusal } from '../server/batch.js';
import { HttpError } from '../server/errors.js';
import { Service } from '../server/service.js';
import { BatchOutput, type FileLine, linesOf } from './batch-files.js';
import { answeringProgress } from './progress.js';
import { plural, rate } from './report.js';

export { BatchOutput };

/** Answers that wait inside for a sequence; one line may ask for many. */
const QUEUE = 1_000_000;

interface Answering {
  model: Model;
  /** Requests that are answered at the same time. */
  parallel: number;
  aliases: readonly string[];
  signal: AbortSignal;
}

/** Answers the requests of a file that an output file has no answer to. @returns what was done, in a line */
export function answerFile(input: string, output: BatchOutput, answering: Answering): Promise<string> {
  const { model, parallel, aliases, signal } = answering;
  const options = { parallel, queue: QUEUE, aliases, logPrompts: false };
  const service = new Service(options, pino({ level: 'silent' }));
  service.loaded(model);
  return new Batch(input, output, service, signal).run();
}

/** The requests of a file on their way to an output file. */
class Batch {
  private total = 0;
  private done = 0;
  private answered = 0;
  private failed = 0;
  private tokens = 0;
  private readonly begin = performance.now();
  /** Requests of lines so far. */
  private readonly seen = new Set<string>();

  constructor(
    private readonly input: string,
    private readonly output: BatchOutput,
    private readonly service: Service,
    private readonly signal: AbortSignal,
  ) {}

  /** @returns what was done, in a line */
  async run(): Promise<string> {
    const { service, signal } = this;
    signal.addEventListener('abort', () => service.abort());
    await this.count();
    const progress = await answeringProgress();
    const requests = this.requests();
    const work = async () => {
      for await (const request of requests) {
        const { controller, end } = service.begin();
        try {
          this.add(await answerRequest(request, service, controller.signal));
        } finally {
          end();
        }
        progress.update(this.done, this.total);
      }
    };
    const workers = Array.from({ length: service.options.parallel }, work);
    try {
      await Promise.all(workers);
    } catch (error) {
      service.abort();
      await Promise.allSettled(workers);
      if (!signal.aborted) throw (error as Error).cause ?? error;
    } finally {
      progress.stop();
    }
    return this.summary();
  }

  private async count(): Promise<void> {
    for await (const { bytes } of linesOf(this.input, 0)) if (bytes > 0) this.total++;
  }

  /** What is not answered yet. */
  private async *requests(): AsyncGenerator<BatchRequest> {
    for await (const line of linesOf(this.input, this.service.longestBody)) {
      if (this.signal.aborted) return;
      if (line.text?.trim() === '') {
        if (line.bytes > 0) this.total--;
        continue;
      }
      try {
        const request = this.read(line);
        this.seen.add(request.id);
        if (this.output.answered.has(request.id)) this.done++;
        else yield request;
      } catch (error) {
        if (this.output.refused.has(line.number)) this.done++;
        else this.add(refusal(HttpError.of(error), line));
      }
    }
  }

  private read({ text }: FileLine): BatchRequest {
    if (text === undefined) {
      const most = this.service.longestBody;
      throw new HttpError(400, 'invalid_json_line', `the line is no UTF-8, or has more than ${most} bytes`);
    }
    const request = readRequest(text);
    if (!this.seen.has(request.id)) return request;
    throw new HttpError(400, 'duplicate_custom_id', `there was a line of custom_id ${request.id} before`);
  }

  private add(record: BatchRecord): void {
    this.output.add(record);
    this.done++;
    if (record.response?.status_code === 200) this.answered++;
    else this.failed++;
    const { usage } = (record.response?.body ?? {}) as { usage?: { completion_tokens: number } };
    this.tokens += usage?.completion_tokens ?? 0;
  }

  private summary(): string {
    const { total, done, answered, failed, tokens } = this;
    const before = done - answered - failed;
    const parts = [`${plural(answered, 'request')} answered`];
    if (failed > 0) parts.push(`${failed} refused`);
    if (before > 0) parts.push(`${before} done before`);
    if (done < total) parts.push(`${total - done} left`);
    const seconds = (performance.now() - this.begin) / 1000;
    return `${parts.join(', ')}; ${plural(tokens, 'token')}, ${rate(tokens / seconds)}\n`;
  }
}
