import koffi from 'koffi';
import { expect, it } from 'vitest';
import { loadLibraries } from '../../src/native/ggml/libraries.js';
import { blockBytes, blockElements, Type, typeName } from '../../src/native/ggml/tensor.js';

it('knows the blocks of every type as ggml does', () => {
  const { base } = loadLibraries();
  const elements = base.func('int64_t ggml_blck_size(int type)');
  const bytes = base.func('size_t ggml_type_size(int type)');
  const name = base.func('const char* ggml_type_name(int type)');
  for (const type of Object.values(Type)) {
    expect([typeName(type), blockElements(type), blockBytes(type)]).toEqual([
      (name(type) as string).toUpperCase(),
      Number(elements(type)),
      Number(bytes(type)),
    ]);
  }
  expect(koffi.sizeof('size_t')).toBe(8);
});
