import type { JsonObject } from '../../weights/config.js';
import { namedByIds } from './post-processors.js';

/**
 * The steps of a tokenizer.json as @huggingface/tokenizers computes what the Rust tokenizers (0.23) do. Steps whose
 * options or white space it reads otherwise become others that it reads alike: mostly a Split or a Replace by a regular
 * expression, in which its `\s`, unlike that of JavaScript, is Unicode's White_Space.
 */

/** A step with what its options are called; steps are checked by the library when it makes them. */
type Step = JsonObject & { type?: unknown };

/** GPT-2's words. Source: tokenizers, pre_tokenizers/byte_level.rs. */
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
/** `\w` of Rust's regex crate. */
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}';
const PUNCTUATION = '[\\p{P}\\x{21}-\\x{2f}\\x{3a}-\\x{40}\\x{5b}-\\x{60}\\x{7b}-\\x{7e}]';
const ANY = '(?:.|\\n)';

const split = (pattern: string, behavior: string, invert = false): Step => {
  return { type: 'Split', pattern: { Regex: pattern }, behavior, invert };
};
const preTokenizers = (...pretokenizers: readonly (Step | null)[]): Step => ({ type: 'Sequence', pretokenizers });
const normalizers = (...all: readonly Step[]): Step => ({ type: 'Sequence', normalizers: all });
const replace = (pattern: string, content: string): Step => ({ type: 'Replace', pattern: { Regex: pattern }, content });

/** Pre-tokenizers by type. */
const PRE_TOKENIZERS: Readonly<Record<string, (step: Step) => Step>> = {
  Sequence: ({ pretokenizers, ...step }) => ({ ...step, pretokenizers: each(pretokenizers, preTokenizer) }),
  ByteLevel(step) {
    if (step.use_regex === false) return step;
    const bytes = { ...step, use_regex: false, add_prefix_space: false };
    const words = split(GPT2, 'Isolated');
    // The library has a pre-tokenizer that replaces, and puts what was found for $&.
    return step.add_prefix_space === false
      ? preTokenizers(words, bytes)
      : preTokenizers(replace('\\A[^ ]', ' $&'), words, bytes);
  },
  Whitespace: () => split(`[${WORD}]+|[^${WORD}\\s]+`, 'Removed', true),
  WhitespaceSplit: () => split('\\s+', 'Removed'),
  BertPreTokenizer: () => preTokenizers(split('\\s', 'Removed'), split(PUNCTUATION, 'Isolated')),
  Punctuation: ({ behavior = 'Isolated' }) => divided(PUNCTUATION, String(behavior), false),
  Digits: ({ individual_digits }) => divided('\\p{N}', individual_digits ? 'Isolated' : 'Contiguous', false),
  FixedLength: ({ length = 5 }) => split(`${ANY}{1,${Number(length)}}`, 'Isolated'),
  CharDelimiterSplit: ({ delimiter }) => split(literal(String(delimiter)), 'Removed'),
  Metaspace({ str_rep, add_prefix_space, ...rest }) {
    const step = { prepend_scheme: add_prefix_space === false ? 'never' : 'always', ...rest };
    if (rest.split === false) return step;
    const mark = literal(String(rest.replacement ?? '▁'));
    return preTokenizers(step, divided(mark, 'MergedWithNext', false));
  },
  Split({ pattern, behavior, invert, ...step }) {
    const { Regex, String: text } = (pattern ?? {}) as { Regex?: unknown; String?: unknown };
    if (typeof Regex !== 'string' && typeof text !== 'string') return { ...step, pattern, behavior, invert };
    const source = typeof Regex === 'string' ? uncaptured(Regex) : literal(text as string);
    return divided(source, String(behavior), invert === true);
  },
};

/** Normalizers by type. */
const NORMALIZERS: Readonly<Record<string, (step: Step) => Step>> = {
  Sequence: ({ normalizers: all, ...step }) => ({ ...step, normalizers: each(all, normalizer) }),
  Strip: ({ strip_left = true, strip_right = true }) =>
    normalizers(...(strip_left ? [replace('\\A\\s+', '')] : []), ...(strip_right ? [replace('\\s+\\z', '')] : [])),
  // Rust's lower case knows no end of a word.
  Lowercase: (step) => normalizers(replace('Σ', 'σ'), step),
  Replace: ({ content, ...step }) => ({ ...step, content: String(content ?? '').replaceAll('$', '$$$$') }),
  // Source: tokenizers, normalizers/bert.rs.
  BertNormalizer({ clean_text = true, handle_chinese_chars = true, strip_accents, lowercase = true }) {
    const clean = [replace('\\x{0}|\\x{fffd}|(?![\\t\\n\\r])\\p{C}', ''), replace('\\s', ' ')];
    const chinese = [replace(CHINESE, ' $& ')];
    const accents = [{ type: 'NFD' }, replace('\\p{Mn}', '')];
    return normalizers(
      ...(clean_text ? clean : []),
      ...(handle_chinese_chars ? chinese : []),
      ...((strip_accents ?? lowercase) ? accents : []),
      ...(lowercase ? [NORMALIZERS.Lowercase!({ type: 'Lowercase' })] : []),
    );
  },
  // Source: tokenizers, normalizers/unicode.rs.
  Nmt: () =>
    normalizers(
      replace('[\\x{1}-\\x{8}\\x{b}\\x{e}-\\x{1f}\\x{7f}\\x{8f}\\x{9f}]', ''),
      replace(
        '[\\x{9}\\x{a}\\x{c}\\x{d}\\x{1680}\\x{200b}-\\x{200f}\\x{2028}\\x{2029}\\x{2581}\\x{feff}\\x{fffd}]',
        ' ',
      ),
    ),
};

/** Blocks of Chinese characters (BERT, tokenization.py). */
const CHINESE =
  '[\\x{4e00}-\\x{9fff}\\x{3400}-\\x{4dbf}\\x{20000}-\\x{2a6df}\\x{2a700}-\\x{2b73f}\\x{2b740}-\\x{2b81f}\\x{2b920}-\\x{2ceaf}\\x{f900}-\\x{faff}\\x{2f800}-\\x{2fa1f}]';

/** A description whose steps the library computes as the Rust tokenizers do. */
export function withUpstreamSteps(description: JsonObject): JsonObject {
  return {
    ...description,
    normalizer: normalizer(description.normalizer),
    pre_tokenizer: preTokenizer(description.pre_tokenizer),
    post_processor: namedByIds(description.post_processor, (id) => contentOf(description, id)),
    model: rewritten(description.model, MODELS),
  };
}

/** What the token with an id is called. */
function contentOf({ added_tokens, model }: JsonObject, id: number): string {
  const added = (added_tokens as { id: number; content: string }[]).find((token) => token.id === id);
  if (added) return added.content;
  const { vocab } = model as { vocab: Record<string, number> | [string, number][] };
  const content = Array.isArray(vocab) ? vocab[id]?.[0] : Object.keys(vocab).find((token) => vocab[token] === id);
  if (content === undefined) throw new Error(`post_processor adds a token ${id} that there is not`);
  return content;
}

/** Models by type. */
const MODELS: Readonly<Record<string, (step: Step) => Step>> = {
  // Words whose further pieces no vocabulary has are known as a whole or not at all.
  WordLevel: (model) => ({
    ...model,
    type: 'WordPiece',
    continuing_subword_prefix: '\0\0',
    max_input_chars_per_word: Number.POSITIVE_INFINITY,
  }),
};

const preTokenizer = (step: unknown) => rewritten(step, PRE_TOKENIZERS);
const normalizer = (step: unknown) => rewritten(step, NORMALIZERS);

function rewritten(step: unknown, rules: typeof NORMALIZERS): unknown {
  const type = typeof step === 'object' && step !== null ? (step as Step).type : undefined;
  return typeof type === 'string' && Object.hasOwn(rules, type) ? rules[type]!(step as Step) : step;
}

function each(steps: unknown, of: (step: unknown) => unknown): unknown {
  return Array.isArray(steps) ? steps.map(of) : steps;
}

/** A Split by `pattern` with any behavior, as one whose pieces are what its own pattern finds (tokenizers, normalizer.rs). */
function divided(pattern: string, behavior: string, invert: boolean): Step {
  const others = `(?:(?!${pattern})${ANY})`;
  const previous = `${ANY}*?(?:${pattern})|${ANY}+`;
  const next = `(?:${pattern})${others}*|${others}+`;
  const pieces: Record<string, string> = {
    Isolated: pattern,
    MergedWithPrevious: invert ? next : previous,
    MergedWithNext: invert ? previous : next,
    Contiguous: `(?:${pattern})+|${others}+`,
  };
  const found = pieces[behavior];
  return found === undefined ? split(pattern, behavior, invert) : split(found, 'Isolated');
}

/** A regular expression for a text. */
function literal(text: string): string {
  return `(?:${Array.from(text, (c) => `\\x{${c.codePointAt(0)!.toString(16)}}`).join('')})`;
}

/** A regular expression without groups that are numbered: splitting would give them as pieces. */
function uncaptured(pattern: string): string {
  return `(?:${pattern.replace(/\\.|\[(?:\\.|[^\]\\])*\]|\((?!\?)/gsu, (part) => (part === '(' ? '(?:' : part))})`;
}
