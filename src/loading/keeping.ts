import { closeSync, fsyncSync, ftruncateSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { convert } from '../devices/convert.js';
import { availableRam } from '../devices/cores.js';
import { processMemory } from '../devices/process-memory.js';
import { FiddlerError } from '../errors.js';
import { rowBytes, Type } from '../native/ggml/tensor.js';
import { type Mapping, mapAnonymous, unmap, view } from '../native/os/memory.js';
import type { LoadOptions } from '../options.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { quantizing } from '../weights/conversions/quantize.js';
import { claim } from '../weights/hub/claim.js';
import { freeBytes } from '../weights/hub/download.js';
import type { StoredSource } from '../weights/source.js';
import { checkRam, gib } from './fitting.js';
import { recallProcess, sumOf, totalRam } from './footprint.js';
import { type KeptPart, keptFile, keptHeader, keptParts } from './kept.js';
import { checkLayout, layOut } from './layout.js';
import type { ModelSource } from './model-source.js';

/** Bytes of a disk that are left free. */
const SPARE = 64 << 20;
/** Numbers that are quantized and written at a time. */
const PIECE = 4 << 20;

/** Called with bytes of quantized weights that are written, and bytes of all; may throw to end it. */
type OnWritten = (done: number, total: number) => void;

/**
 * Makes the file of what a load quantizes, unless it is there. What will not fit is refused before.
 * @throws FiddlerError `usage`: the model lies in no files; `memory`: RAM, the accelerator or the disk do not suffice;
 * `file`: the file cannot be written, or another process writes it
 */
export function keepQuantized(source: ModelSource, options: LoadOptions, onWritten: OnWritten): void {
  const layout = layOut(source, { ...options, onWarning: undefined }, { countsOnly: true });
  try {
    const { blueprint, checkpoint, machine, sizes } = layout;
    if (blueprint.kept !== undefined) return;
    const parts = keptParts({ checkpoint, blueprint });
    const place = keptFile(source, { checkpoint }, parts);
    if (!place) {
      throw new FiddlerError(
        'usage',
        `${source.name} lies in no files beside which it can be kept`,
        'leave out --keep',
      );
    }
    checkLayout(layout);
    const available = availableRam().available + processMemory().anonymous;
    const processBytes = recallProcess(machine, options);
    const { parts: ram } = totalRam(source, layout, { processBytes, rebalance: false, available });
    checkRam(sumOf(ram), available, sizes.sequences);
    writeKept(place, parts, checkpoint, onWritten);
  } finally {
    layout.close();
  }
}

/** Whole or not at all: under another name until all of it is on the disk. */
function writeKept(
  { file, key }: { file: string; key: string },
  parts: readonly KeptPart[],
  checkpoint: Checkpoint,
  onWritten: OnWritten,
): void {
  const { head, places, bytes } = keptHeader(key, parts);
  mkdirSync(dirname(file), { recursive: true });
  checkDisk(dirname(file), bytes);
  const end = claim(file, 'writing');
  const partial = `${file}.partial`;
  try {
    const descriptor = openSync(partial, 'w');
    try {
      writeWhole(descriptor, head, 0);
      ftruncateSync(descriptor, bytes);
      let done = 0;
      for (const [i, { entry, sources }] of parts.entries()) {
        let at = places[i]!.offset;
        for (const source of sources()) {
          writeBlocks(descriptor, at, source, Type[entry.dtype]);
          for (const read of source.reads) checkpoint.release(read.address, read.bytes);
          const written = rowBytes(Type[entry.dtype], source.elements);
          at += written;
          done += written;
          onWritten(done, bytes);
        }
      }
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(partial, file);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  } finally {
    end();
  }
}

/** @throws FiddlerError `memory` where the disk of a folder does not hold so many bytes */
export function checkDisk(folder: string, bytes: number): void {
  const free = freeBytes(folder);
  if (bytes + SPARE <= free) return;
  const problem = `${gib(bytes)} are to be kept, but the disk of ${folder} has only ${gib(free)} left`;
  throw new FiddlerError(
    'memory',
    problem,
    'make room there, let FIDDLER_CACHE name another folder, or leave out --keep',
  );
}

/** Writes a source's numbers as blocks from byte `at` on, piece by piece. */
function writeBlocks(descriptor: number, at: number, source: StoredSource, type: Type): void {
  const { elements } = source;
  const scratch = mapAnonymous('memory to quantize weights', rowBytes(type, Math.min(PIECE, elements)));
  let made: Mapping | undefined;
  try {
    if (!('address' in source)) {
      made = mapAnonymous('numbers to quantize', rowBytes(source.type, elements));
      source.make(made.address, convert);
    }
    const from = 'address' in source ? source.address : made!.address;
    for (let done = 0; done < elements; done += PIECE) {
      const count = Math.min(PIECE, elements - done);
      const bytes = rowBytes(type, count);
      convert(quantizing(from + BigInt(rowBytes(source.type, done)), source.type, type, count), scratch.address);
      writeWhole(descriptor, new Uint8Array(view(scratch.address, bytes)), at + rowBytes(type, done));
    }
  } finally {
    if (made) unmap(made);
    unmap(scratch);
  }
}

/** A call may write less than it is given. */
function writeWhole(descriptor: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(descriptor, bytes, done, bytes.length - done, at + done);
  }
}
