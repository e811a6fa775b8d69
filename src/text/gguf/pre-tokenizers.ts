import { FiddlerError } from '../../errors.js';
import { OTHER_TOKENIZER } from './vocabulary.js';

/** How a text is split into words, before pairs are merged within each. */
export interface PreTokenizer {
  /** Patterns in the syntax of tokenizer.json. Each splits what the one before left into its matches and what is between. */
  readonly patterns: readonly string[];
  /** A word that is a token is taken whole. */
  readonly ignoreMerges?: boolean;
  /** Where the file does not say it, a text begins with the beginning token. */
  readonly addBos?: boolean;
}

const CONTRACTION = "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])";
const NUMBERS = '\\p{N}{1,3}';
const DIGIT = '\\p{N}';
const SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const SYMBOLS = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*';
/** Letters with at most one other character before them. */
const LETTERS = '[^\\r\\n\\p{L}\\p{N}]?\\p{L}+';

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const LLAMA3 = `${CONTRACTION}|${LETTERS}|${NUMBERS}|${SYMBOLS}|${SPACES}`;
const QWEN2 = `${CONTRACTION}|${LETTERS}|${DIGIT}|${SYMBOLS}|${SPACES}`;

/** Words in one case or capitalised. Letters other than A to Z are of both cases, as llama.cpp has it. */
const UPPER = '(?:(?![a-z])\\p{L})';
const LOWER = '(?:(?![A-Z])\\p{L})';
const cased = (suffix: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${suffix}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${suffix}`;
const CASED_SYMBOLS = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*';
const GPT4O = `${cased(`(?:${CONTRACTION})?`)}|${NUMBERS}|${CASED_SYMBOLS}|${SPACES}`;

/** Digits in threes, counted from the end of a number; what is before a number stays with its first, as in llama.cpp. */
const GROUPED_DIGITS = '\\P{N}*\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))|\\P{N}+';
const MARKED = '[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+';
const ASCII_WORD = '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+';
const DEEPSEEK3 = `${ASCII_WORD}|${MARKED}| ?[\\p{P}\\p{S}]+[\\r\\n]*|${SPACES}`;
/** A range that is wider than Chinese, without the white space in it. */
const WIDE = '(?:(?!\\s)[一-龥ࠀ-一가-퟿])+';
const CJK = '[一-龥぀-ゟ゠-ヿ]+';

/** Chinese characters by their blocks, as llama.cpp knows them for Kimi. */
const HAN =
  '\\u4E00-\\u9FFF\\u3400-\\u4DBF\\u{20000}-\\u{2A6DF}\\u{2A700}-\\u{2B73F}\\u{2B740}-\\u{2B81F}\\u{2B820}-\\u{2CEAF}\\u{2CEB0}-\\u{2EBEF}\\uF900-\\uFAFF\\u{2F800}-\\u{2FA1F}';
const KIMI = `[${HAN}]+|[^\\r\\n\\p{L}\\p{N}]?(?:(?![${HAN}])\\p{L})+(?:${CONTRACTION})?|${NUMBERS}|${SYMBOLS}|${SPACES}`;

/** Letters of Latin, Greek, Cyrillic, Armenian, Georgian, Cherokee, Coptic, Deseret, Osage, Warang Citi and Adlam scripts. */
const DEEPSEEK_LETTERS = [
  'A-Za-z\\u00B5\\u00C0-\\u00D6\\u00D8-\\u00F6\\u00F8-\\u01BA\\u01BC-\\u01BF\\u01C4-\\u0293\\u0295-\\u02AF',
  '\\u0370-\\u0373\\u0376\\u0377\\u037B-\\u037D\\u037F\\u0386\\u0388-\\u038A\\u038C\\u038E-\\u03A1',
  '\\u03A3-\\u03F5\\u03F7-\\u0481\\u048A-\\u052F\\u0531-\\u0556\\u10A0-\\u10C5\\u13A0-\\u13F5\\u13F8-\\u13FD',
  '\\u1C90-\\u1CBA\\u1CBD-\\u1CBF\\u1D00-\\u1D2B\\u1D6B-\\u1D77\\u1D79-\\u1D9A\\u1E00-\\u1F15\\u1F18-\\u1F1D',
  '\\u1F20-\\u1F45\\u1F48-\\u1F4D\\u1F50-\\u1F57\\u1F59\\u1F5B\\u1F5D\\u1F5F-\\u1F7D\\u1F80-\\u1FB4',
  '\\u1FB6-\\u1FBC\\u1FBE\\u1FC2-\\u1FC4\\u1FC6-\\u1FCC\\u1FD0-\\u1FD3\\u1FD6-\\u1FDB\\u1FE0-\\u1FEC',
  '\\u1FF2-\\u1FF4\\u1FF6-\\u1FFC\\u2102\\u2107\\u210A-\\u2113\\u2115\\u2119-\\u211D\\u2124\\u2126\\u2128',
  '\\u212A-\\u212D\\u212F-\\u2134\\u2139\\u213C-\\u213F\\u2145-\\u2149\\u214E\\u2183\\u2184\\u2C00-\\u2C7B',
  '\\u2C7E-\\u2CE4\\u2CEB-\\u2CEE\\u2CF2\\u2CF3\\uA640-\\uA66D\\uA680-\\uA69B\\uA722-\\uA76F\\uA771-\\uA787',
  '\\uA78B-\\uA78E\\uAB70-\\uABBF\\uFB00-\\uFB06\\uFB13-\\uFB17\\uFF21-\\uFF3A\\uFF41-\\uFF5A',
  '\\u{10400}-\\u{1044F}\\u{104B0}-\\u{104D3}\\u{104D8}-\\u{104FB}\\u{10C80}-\\u{10CB2}\\u{10CC0}-\\u{10CF2}',
  '\\u{118A0}-\\u{118DF}\\u{1E900}-\\u{1E943}',
].join('');

const gpt2: PreTokenizer = { patterns: [GPT2] };
const digits: PreTokenizer = { patterns: [DIGIT, GPT2] };
const llama3: PreTokenizer = { patterns: [LLAMA3], ignoreMerges: true, addBos: true };
const qwen2: PreTokenizer = { patterns: [QWEN2] };
const gpt4o: PreTokenizer = { patterns: [GPT4O] };
const glm4: PreTokenizer = { patterns: [LLAMA3] };
const deepseek3: PreTokenizer = { patterns: [NUMBERS, CJK, DEEPSEEK3] };
const bailing: PreTokenizer = {
  patterns: [`${CONTRACTION}|${LETTERS}|${DIGIT}|${SYMBOLS}|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+`],
};
const cohere2: PreTokenizer = {
  patterns: [
    GROUPED_DIGITS,
    `[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+(?:${CONTRACTION})?|${NUMBERS}|${CASED_SYMBOLS}|${SPACES}`,
  ],
};

/** By `tokenizer.ggml.pre`; the patterns are those of llama.cpp (llama-vocab.cpp, llm_tokenizer_bpe, and unicode.cpp). */
const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  default: { patterns: ['[\\p{P}$+<=>^~|]+', GPT2, '\\p{N}+', '[0-9][0-9][0-9]'] },
  falcon: { patterns: ['[\\p{P}$+<=>^~|`]+', GPT2, '[0-9][0-9][0-9]'] },
  'gpt-2': gpt2,
  'phi-2': gpt2,
  'a.x-4.0': gpt2,
  exaone4: gpt2,
  gigachat: gpt2,
  'granite-docling': gpt2,
  jais: gpt2,
  mellum: gpt2,
  mpt: gpt2,
  olmo: gpt2,
  trillion: gpt2,
  codeshell: digits,
  'command-r': digits,
  exaone: digits,
  mellum2: digits,
  'minerva-7b': digits,
  refact: digits,
  smollm: digits,
  starcoder: digits,
  llama3,
  'llama-v3': llama3,
  'llama-bpe': llama3,
  'falcon-h1': llama3,
  falcon3: llama3,
  lfm2: llama3,
  'midm-2.0': llama3,
  pixtral: llama3,
  dbrx: glm4,
  'smaug-bpe': glm4,
  'chatglm-bpe': glm4,
  glm4,
  qwen2,
  'deepseek-r1-qwen': qwen2,
  f2llmv2: qwen2,
  'grok-2': qwen2,
  hunyuan: qwen2,
  kormo: qwen2,
  megrez: qwen2,
  'solar-open': qwen2,
  stablelm2: qwen2,
  qwen35: {
    patterns: [
      `${CONTRACTION}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|${DIGIT}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${SPACES}`,
    ],
  },
  'gpt-4o': gpt4o,
  kanana2: gpt4o,
  llama4: gpt4o,
  'minimax-m2': gpt4o,
  talkie: gpt4o,
  tekken: { patterns: [`${cased('')}|${DIGIT}|${CASED_SYMBOLS}|${SPACES}`], ignoreMerges: true, addBos: true },
  cohere2moe: cohere2,
  tiny_aya: cohere2,
  'deepseek-llm': {
    patterns: ['[\\r\\n]', `\\s?[${DEEPSEEK_LETTERS}]+`, '\\s?[!-/:-~！-／：-～‘-‟、-。]+', '\\s+$', WIDE, '\\p{N}+'],
  },
  'deepseek-coder': { patterns: ['[\\r\\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', WIDE, DIGIT] },
  'deepseek-v3': deepseek3,
  'hunyuan-dense': deepseek3,
  hy_v4: deepseek3,
  'joyai-llm': deepseek3,
  afmoe: {
    patterns: [GROUPED_DIGITS, '[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+', DEEPSEEK3],
  },
  bailingmoe: bailing,
  bailingmoe2: bailing,
  'llada-moe': bailing,
  'exaone-moe': {
    patterns: [
      `${CONTRACTION}|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|${DIGIT}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+`,
    ],
  },
  'kimi-k2': { patterns: [KIMI] },
  laguna: { patterns: ['[^\\n]+|[\\n]+', QWEN2] },
  minicpm5: {
    patterns: [NUMBERS, `${CONTRACTION}|${LETTERS}|\\p{N}+|${SYMBOLS}|${SPACES}`],
    ignoreMerges: true,
  },
  'seed-coder': {
    patterns: [`${CONTRACTION}|${LETTERS}|${DIGIT}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${SPACES}`],
  },
};

/** Every name that is known. */
export const PRE_TOKENIZER_NAMES: readonly string[] = Object.keys(PRE_TOKENIZERS);

/** @throws FiddlerError `unsupported`: one that is not known, or none: which one a file needs cannot be seen from it */
export function findPreTokenizer(file: string, name: string | undefined): PreTokenizer {
  if (name !== undefined && Object.hasOwn(PRE_TOKENIZERS, name)) return PRE_TOKENIZERS[name]!;
  const problem =
    name === undefined ? 'names no pre-tokenizer' : `needs the pre-tokenizer "${name}", which is not known`;
  throw new FiddlerError('unsupported', `${file} ${problem}`, OTHER_TOKENIZER);
}
