import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type GgufValue, writeGguf } from '../../../bench/gguf-writer.js';
import { openGguf } from '../../../src/weights/gguf/gguf.js';
import { fetchGguf } from '../../../src/weights/gguf/remote.js';
import type { Repository } from '../../../src/weights/hub/repository.js';
import { temporaryFolder } from '../../support/folder.js';

const name = (part: number) => `model-0000${part}-of-00003.gguf`;

/** Three shards with a tensor each; `numbers` are what they say of themselves. */
function shards(numbers = [0, 1, 2], total = 3, architectures = ['llama']): string {
  const dir = temporaryFolder();
  for (const [i, number] of numbers.entries()) {
    const metadata: Record<string, GgufValue> = {
      'split.no': { kind: 'u16', value: number },
      'split.count': { kind: 'u16', value: 3 },
      'split.tensors.count': { kind: 'i32', value: total },
    };
    const architecture = architectures[i];
    if (architecture) metadata['general.architecture'] = { kind: 'string', value: architecture };
    const data = new Uint8Array(16).fill(i + 1);
    writeGguf(join(dir, name(i + 1)), { metadata, tensors: [{ name: `t${i}`, type: 0, ne: [4], data }] });
  }
  return dir;
}

const open = (dir: string, part = 1) => openGguf(join(dir, name(part)));

describe('shards', () => {
  it('are one model', () => {
    const { metadata, checkpoint } = open(shards());
    expect(metadata.string('general.architecture')).toBe('llama');
    expect([...checkpoint.tensors.keys()]).toEqual(['t0', 't1', 't2']);
    expect(checkpoint.regions).toHaveLength(3);
    checkpoint.close();
  });

  it('are refused by a later one, which names the first', () => {
    expect(() => open(shards(), 2)).toThrow(/part 2 of 3.*give the first, model-00001-of-00003.gguf/);
  });

  it('are refused where one is missing, cut, or another', () => {
    const missing = shards();
    rmSync(join(missing, name(2)));
    expect(() => open(missing)).toThrow(/00002-of-00003.gguf is missing/);

    const cut = shards();
    writeFileSync(join(cut, name(3)), readFileSync(join(cut, name(3))).subarray(0, -20));
    expect(() => open(cut)).toThrow(/00003-of-00003.gguf: tensor "t2" ends at byte/);

    expect(() => open(shards([0, 2, 1]))).toThrow(/part 3 of 3, not 2 of 3/);
    expect(() => open(shards([0, 1, 2], 4))).toThrow(/should have 4 tensors, but have 3/);
  });

  it('are refused where one is of another architecture', () => {
    open(shards([0, 1, 2], 3, ['llama', 'llama', 'llama'])).checkpoint.close();
    const problem = /00003-of-00003.gguf: it is of "qwen3moe", not of "llama"/;
    expect(() => open(shards([0, 1, 2], 3, ['llama', 'llama', 'qwen3moe']))).toThrow(problem);
  });

  it('are refused under another name', () => {
    const dir = shards();
    writeFileSync(join(dir, 'part.gguf'), readFileSync(join(dir, name(1))));
    expect(() => openGguf(join(dir, 'part.gguf'))).toThrow(/part 1 of 3.*not named so/);
  });

  it('are planned from their headers', async () => {
    const dir = shards();
    const repository: Repository = {
      id: 'someone/model',
      files: new Set([1, 2, 3].map(name)),
      readJson: () => Promise.reject(new Error('there is none')),
      read: async (file, begin, end) => {
        const bytes = readFileSync(join(dir, file));
        return { bytes: bytes.subarray(begin, end), size: bytes.length };
      },
    };
    const { checkpoint } = (await fetchGguf(repository, name(1)))();
    expect([...checkpoint.tensors.keys()]).toEqual(['t0', 't1', 't2']);
    checkpoint.close();
  });
});
