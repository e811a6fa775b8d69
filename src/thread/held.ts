import { FiddlerError } from '../errors.js';
import { either, formOutline, type Outline, sequence, text } from '../text/grammar/outline.js';
import type { ToolFormat } from '../text/tools/format.js';
import { callsOutline } from '../text/tools/written.js';
import type { AnswerOptions } from './generation.js';

/** What masks hold an answer to. */
interface Held {
  outline: Outline;
  /** Texts in it that may be tokens of their own. */
  marks: readonly string[];
  isWhole: boolean;
}

/**
 * What these options ask for; undefined: any text.
 * @param format in which the model calls tools, where there are any
 * @param template the source of the chat template
 * @throws FiddlerError `usage`, `unsupported`
 */
export function heldTo(options: AnswerOptions, format: ToolFormat | undefined, template: string): Held | undefined {
  const form = formOutline(options);
  const { call = false, oneCall = false, tools = [] } = options;
  if (call === false && (!form || !format)) return form && { outline: form, marks: [], isWhole: false };
  const callable = typeof call === 'string' ? tools.filter(({ function: { name } }) => name === call) : tools;
  if (!format || callable.length === 0) {
    const problem =
      typeof call === 'string' ? `there is no tool ${call} to be called` : 'there is no tool to be called';
    throw new FiddlerError('usage', problem, 'name one of those that are given');
  }
  const written = format.written(template);
  const { before, answer = '' } = written.whole ?? {};
  const isChoice = call === false && form !== undefined;
  // The grammar engine takes no choice of which one part may go on.
  const calls = callsOutline(
    written,
    callable,
    typeof call === 'string' || oneCall || (isChoice && written.end === ''),
  );
  const said = isChoice ? either([sequence(text(answer), form), calls]) : calls;
  const outline = before ? sequence(before, said) : said;
  return { outline, marks: [...format.begins, ...format.marks], isWhole: before !== undefined };
}
