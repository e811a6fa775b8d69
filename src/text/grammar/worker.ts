import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { CompiledGrammar, GrammarCompiler } from '@mlc-ai/web-xgrammar';
import { loadTokenizer } from '../tokenizer.js';
import { freeText } from './free-text.js';
import { loadXGrammar } from './library.js';
import type { Outline, Tag } from './outline.js';
import { GRAMMARS_KEPT, SharedMask } from './shared.js';
import { grammarVocabulary, markCharacters, type Purpose } from './vocabulary.js';

/** What the thread begins with. */
export interface GrammarModel {
  dir: string;
  /** Logits of the model. */
  vocabulary: number;
  /** Tokens that end an answer. */
  ends: readonly number[];
}

/** What an answer is held to; where `marks` are given, texts in it that are tokens. */
export interface Held {
  outline: Outline;
  marks: readonly string[];
}

/** An answer to be held to JSON of {@link Held}; `port` brings its tokens, and is closed at its end. */
export interface GrammarRequest {
  held: string;
  memory: SharedArrayBuffer;
  port: MessagePort;
}
export interface GrammarAnswer {
  /** Why there are no masks. */
  problem?: string;
  /** The thread is of no use any more. */
  isBroken?: boolean;
}

interface Compiler {
  compiler: GrammarCompiler;
  /** Characters that stand for marks. */
  marks: ReadonlyMap<string, string>;
}

/** A grammar, and the answers that it is used by. */
interface Compiled {
  grammar: CompiledGrammar;
  uses: number;
}

/** JSON in one line, as Python's json.dumps writes it: where white space is free, small models write little else. */
const ONE_LINE = [false, -1, [', ', ': ']] as const;

/** A character of a JSON string in rules of the grammar engine, and the same but for control characters, marks among them. */
const CHARACTER = /\[\^(\\0-\\x1f)?\\"\\\\\\r\\n\]/g;
const CHARACTER_KEPT = '[\\x20-\\x21\\x23-\\x5b\\x5d-\\U0010ffff]';
/** Before a tag that begins so, `<` may only be escaped. */
const CHARACTER_IN_TAGS = '[\\x20-\\x21\\x23-\\x3b\\x3d-\\x5b\\x5d-\\U0010ffff]';

/** What the grammar engine printed: of what it cannot read it says why, and ends. */
let printed: string | undefined;
console.error = (text: unknown) => {
  printed = /^\[FATAL\].*\.cc:\d+: (.*)/.exec(String(text))?.[1] ?? printed;
};
const xgrammar = loadXGrammar();
const { dir, vocabulary, ends } = workerData as GrammarModel;
/** The most recently used last. */
const compiled = new Map<string, Compiled>();
/** By what their vocabularies are made for. */
const compilers = new Map<string, Promise<Compiler>>();

parentPort!.on('message', async ({ held, memory, port }: GrammarRequest) => {
  try {
    await serveMasks(held, await grammarOf(held), new SharedMask(memory), port);
    parentPort!.postMessage({} satisfies GrammarAnswer);
  } catch (error) {
    port.close();
    // Of WebAssembly, whose memory may be anything now.
    const isBroken = error instanceof Error && error.name === 'RuntimeError';
    parentPort!.postMessage({ problem: problemOf(error), isBroken } satisfies GrammarAnswer);
  }
});

async function makeCompiler(purpose: Purpose): Promise<Compiler> {
  const tokenizer = loadTokenizer(dir)!;
  const { tokens, encoding } = grammarVocabulary(tokenizer, vocabulary, purpose);
  const info = await xgrammar.TokenizerInfo.createTokenizerInfo(tokens, encoding, false, vocabulary, [...ends]);
  const compiler = await xgrammar.GrammarCompiler.createGrammarCompiler(info, false);
  return { compiler, marks: markCharacters(tokenizer, purpose.marks) };
}

async function grammarOf(held: string): Promise<Compiled> {
  const known = compiled.get(held) ?? { grammar: await compile(held), uses: 0 };
  compiled.delete(held);
  compiled.set(held, known);
  if (compiled.size > GRAMMARS_KEPT) {
    const [oldest, { grammar, uses }] = compiled.entries().next().value!;
    compiled.delete(oldest);
    if (uses === 0) grammar.dispose();
  }
  return known;
}

async function compile(held: string): Promise<CompiledGrammar> {
  const { outline, marks } = JSON.parse(held) as Held;
  const isJson = outline.type === 'json_schema';
  const purpose = { isJson, counted: marks.length > 0 || /"(min|max)Length"/.test(held), marks };
  const key = JSON.stringify(purpose);
  const making = compilers.get(key) ?? makeCompiler(purpose);
  compilers.set(key, making);
  const { compiler, marks: characters } = await making;
  const [anySpace, indent, separators] = ONE_LINE;
  if (isJson) {
    return compiler.compileJSONSchema(JSON.stringify(outline.json_schema), anySpace, indent, [...separators], true);
  }
  if (outline.type === 'grammar') return compiler.compileGrammar(outline.grammar);
  const format = await lowered(outline, characters);
  return compiler.compileStructuralTag(JSON.stringify({ type: 'structural_tag', format }));
}

/**
 * The same with schemas as grammars of JSON in one line, and characters in place of marks.
 * @param end of the tag that it is in
 */
async function lowered(outline: Outline, marks: ReadonlyMap<string, string>, end = ''): Promise<Outline> {
  const marked = (text: string) => [...marks].reduce((all, [mark, character]) => all.replaceAll(mark, character), text);
  const inner = (of: Outline) => lowered(of, marks);
  const tag = async ({ type, begin, content, end }: Tag): Promise<Tag> => ({
    ...{ type, begin: marked(begin), end: marked(end) },
    content: await lowered(content, marks, marked(end)),
  });
  switch (outline.type) {
    case 'json_schema': {
      const [anySpace, indent, separators] = ONE_LINE;
      const text = JSON.stringify(outline.json_schema);
      const grammar = await xgrammar.Grammar.fromJSONSchema(text, anySpace, indent, [...separators], true);
      const rules = grammar
        .toString()
        .replaceAll(CHARACTER, end.trim().startsWith('<') ? CHARACTER_IN_TAGS : CHARACTER_KEPT);
      grammar.dispose();
      return { type: 'grammar', grammar: rules };
    }
    case 'any_text':
      return { type: 'grammar', grammar: freeText(end) };
    case 'const_string':
      return { ...outline, value: marked(outline.value) };
    case 'sequence':
    case 'or':
      return { ...outline, elements: await Promise.all(outline.elements.map(inner)) };
    case 'tag':
      return tag(outline);
    case 'tags_with_separator':
      return { ...outline, tags: await Promise.all(outline.tags.map(tag)), separator: marked(outline.separator) };
    default:
      return outline;
  }
}

async function serveMasks(held: string, of: Compiled, mask: SharedMask, port: MessagePort): Promise<void> {
  const matcher = await xgrammar.GrammarMatcher.createGrammarMatcher(of.grammar, undefined, ends.length === 0);
  of.uses++;
  const publish = async () => {
    const ended = matcher.isTerminated();
    if (!ended) mask.bits.set(await matcher.getNextTokenBitmask());
    mask.publish(ended ? 'ended' : 'open');
  };
  port.on('message', async (token: number) => {
    if (matcher.acceptToken(token)) await publish();
    else mask.abandon();
  });
  port.on('close', () => {
    matcher.dispose();
    if (--of.uses === 0 && compiled.get(held) !== of) of.grammar.dispose();
  });
  await publish();
}

/** The library throws numbers, which are addresses of C++ exceptions, where a schema makes no sense. */
function problemOf(error: unknown): string {
  return printed ?? (error instanceof Error ? error.message : 'the grammar engine cannot read it');
}
