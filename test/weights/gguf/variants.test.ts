import { describe, expect, it } from 'vitest';
import { chooseVariant, variantsOf } from '../../../src/weights/gguf/variants.js';
import { fiddlerError } from '../../support/errors.js';

const FILES = [
  'README.md',
  'config.json',
  'imatrix_unsloth.gguf',
  'mmproj-F16.gguf',
  'M-30B-Q4_K_M.gguf',
  'M-30B-UD-Q4_K_M.gguf',
  'M-30B.IQ3_XXS.gguf',
  'm-30b-q8_0.gguf',
  'M-30B-MXFP4_MOE.gguf',
  'BF16/M-30B-BF16-00002-of-00002.gguf',
  'BF16/M-30B-BF16-00001-of-00002.gguf',
  'Q2_K/M-30B-00001-of-00001.gguf',
];

describe('the GGUF models of a repository', () => {
  const variants = variantsOf(FILES);
  const filesOf = (wanted: string) => chooseVariant('org/name', variants, wanted).files;

  it('are known by their types', () => {
    expect(variants.map(({ label }) => label).sort()).toEqual(
      ['BF16', 'IQ3_XXS', 'MXFP4_MOE', 'Q2_K', 'Q4_K_M', 'UD-Q4_K_M', 'q8_0'].sort(),
    );
    expect(filesOf('Q4_K_M')).toEqual(['M-30B-Q4_K_M.gguf']);
    expect(filesOf('ud-q4_k_m')).toEqual(['M-30B-UD-Q4_K_M.gguf']);
    expect(filesOf('iq3_xxs')).toEqual(['M-30B.IQ3_XXS.gguf']);
    expect(filesOf('Q8_0')).toEqual(['m-30b-q8_0.gguf']);
    expect(filesOf('Q2_K')).toEqual(['Q2_K/M-30B-00001-of-00001.gguf']);
  });

  it('have their shards together, in order', () => {
    expect(filesOf('BF16')).toEqual(['BF16/M-30B-BF16-00001-of-00002.gguf', 'BF16/M-30B-BF16-00002-of-00002.gguf']);
    const torn = variantsOf(['a-Q4_0-00001-of-00003.gguf', 'a-Q4_0-00003-of-00003.gguf', 'a-Q8_0.gguf']);
    const message = fiddlerError('file', () => chooseVariant('org/name', torn, 'Q4_0'));
    expect(message).toContain('org/name has not all files of a-Q4_0: number 2 is missing');
    expect(chooseVariant('org/name', torn, 'Q8_0').files).toEqual(['a-Q8_0.gguf']);
  });

  it('are no files that are numbered as none can be', () => {
    const wrong = variantsOf(['a-00001-of-00000.gguf', 'a-00003-of-00002.gguf', 'a-00000-of-00002.gguf', 'b.gguf']);
    expect(wrong.map(({ files }) => files)).toEqual([['b.gguf']]);
  });

  it('are known by name and file where a type is not enough', () => {
    const two = variantsOf(['a-Q4_0.gguf', 'b-Q4_0.gguf', 'c.gguf']);
    expect(chooseVariant('org/name', two, 'b-Q4_0.gguf').files).toEqual(['b-Q4_0.gguf']);
    expect(chooseVariant('org/name', two, 'c').files).toEqual(['c.gguf']);
    const message = fiddlerError('usage', () => chooseVariant('org/name', two, 'Q4_0'));
    expect(message).toContain('org/name holds 2 models that are Q4_0');
    expect(message).toContain('a-Q4_0, b-Q4_0');
  });

  it('are named where none or several are meant', () => {
    const missing = fiddlerError('usage', () => chooseVariant('org/name', variants, 'Q6_K'));
    expect(missing).toContain('org/name holds no Q6_K');
    expect(missing).toContain('Q4_K_M, UD-Q4_K_M, IQ3_XXS');
    expect(fiddlerError('usage', () => chooseVariant('org/name', variants))).toContain('holds 7 models');
    expect(chooseVariant('org/name', variantsOf(['only.gguf'])).files).toEqual(['only.gguf']);
    expect(fiddlerError('usage', () => chooseVariant('org/name', []))).toContain('holds no model');
  });
});
