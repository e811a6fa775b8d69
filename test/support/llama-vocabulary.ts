import { llamaLibrary, loadLlama, type Pointer } from './llama-model.js';

/** llama.cpp's own reading of a vocabulary: an answer that is independent of ours. */
export interface LlamaVocabulary {
  /** With special tokens that the text spells read as such. */
  tokenize(text: string, addSpecial: boolean): number[];
  /** Ids of tokens that end an answer. */
  ends(): number[];
}

function bind() {
  const library = llamaLibrary();
  return {
    vocabulary: library.func('llama_model_get_vocab', 'void *', ['void *']) as (model: Pointer) => Pointer,
    size: library.func('llama_vocab_n_tokens', 'int32_t', ['void *']) as (vocabulary: Pointer) => number,
    isEnd: library.func('llama_vocab_is_eog', 'bool', ['void *', 'int32_t']) as (v: Pointer, id: number) => boolean,
    tokenize: library.func('llama_tokenize', 'int32_t', [
      'void *',
      'void *',
      'int32_t',
      'void *',
      'int32_t',
      'bool',
      'bool',
    ]) as (
      v: Pointer,
      text: Buffer,
      bytes: number,
      ids: Int32Array,
      most: number,
      add: boolean,
      parse: boolean,
    ) => number,
  };
}

let bound: ReturnType<typeof bind> | undefined;

/** Loads the vocabulary of a GGUF file alone, until the test ends. */
export function llamaVocabulary(file: string): LlamaVocabulary {
  bound ??= bind();
  const { vocabulary, size, isEnd, tokenize } = bound;
  const vocab = vocabulary(loadLlama(file, true));
  return {
    tokenize(text, addSpecial) {
      const bytes = Buffer.from(text);
      const ids = new Int32Array(bytes.length + 16);
      const count = tokenize(vocab, bytes, bytes.length, ids, ids.length, addSpecial, true);
      if (count < 0) throw new Error(`llama.cpp gives ${-count} tokens for ${bytes.length} bytes`);
      return [...ids.subarray(0, count)];
    },
    ends: () => Array.from({ length: size(vocab) }, (_, id) => id).filter((id) => isEnd(vocab, id)),
  };
}
