import { z } from 'zod';
import { check, parseBody } from './body.js';
import { HttpError, openaiErrors } from './errors.js';
import { newId } from './ids.js';
import type { AnyRoute } from './route.js';
import { chatCompletions } from './routes/chat-completions.js';
import { completions } from './routes/completions.js';
import type { Service } from './service.js';

/** What a line of a batch may ask for. */
const ROUTES: readonly AnyRoute[] = [chatCompletions, completions];
const paths = ROUTES.map(({ path }) => path);

const line = z.object({
  custom_id: z.string().min(1).max(512),
  method: z.literal('POST').optional(),
  url: z.enum(paths).optional(),
  body: z.record(z.string(), z.unknown()),
});

/** A request of a batch that was read. */
export interface BatchRequest {
  id: string;
  route: AnyRoute;
  body: unknown;
}

/** A line of an output file as OpenAI has them. */
export interface BatchRecord {
  id: string;
  custom_id: string | null;
  response: { status_code: number; request_id: string; body: object } | null;
  /** Of a line that asks for nothing that can be answered; `line` is its number in the input. */
  error: { code: string; message: string; line: number } | null;
}

/** Reads a line of OpenAI's batch files; without a `url` its body says what it is. @throws HttpError 400 */
export function readRequest(text: string): BatchRequest {
  const { custom_id: id, url, body } = check(line, parseBody(text));
  const path = url ?? ('messages' in body ? chatCompletions.path : completions.path);
  return { id, route: ROUTES.find((route) => route.path === path)!, body };
}

/** What a line is answered with that cannot be read. */
export function refusal(
  { code, message }: HttpError,
  { number, text }: { number: number; text?: string },
): BatchRecord {
  return { id: newId('batch_req_'), custom_id: idOf(text), response: null, error: { code, message, line: number } };
}

function idOf(text = ''): string | null {
  try {
    const { success, data } = line.pick({ custom_id: true }).safeParse(parseBody(text));
    return success ? data.custom_id : null;
  } catch {
    return null;
  }
}

/**
 * Answers a request; what is wrong with it is its answer.
 * @throws HttpError of status 500 and above: a fault that others would meet too, or `signal` ended it
 */
export async function answerRequest(
  { id, route, body }: BatchRequest,
  service: Service,
  signal: AbortSignal,
): Promise<BatchRecord> {
  const record = (status: number, answer: object): BatchRecord => ({
    id: newId('batch_req_'),
    custom_id: id,
    response: { status_code: status, request_id: newId('req_'), body: answer },
    error: null,
  });
  try {
    const checked = check(route.body!, body);
    if (checked.stream) throw new HttpError(400, 'unsupported', 'stream: a batch has no streams', { param: 'stream' });
    return record(200, (await route.answer({ body: checked, service, signal })) as object);
  } catch (error) {
    const told = HttpError.of(error);
    if (signal.aborted || (told.status >= 500 && told.code !== 'numeric')) throw told;
    return record(told.status, openaiErrors.body(told));
  }
}
