import { z } from 'zod';

/** GB/s: from a worn-out bus to more than any memory has. */
const bandwidth = z.number().min(0.1).max(100_000);
/** TFLOP/s. */
const arithmetic = z.number().min(0.001).max(100_000);
const gib = z.number().min(0.1).max(1_000_000);
const factor = z.number().min(1).max(10);
const table = z.array(z.tuple([z.int().min(1), z.number().min(1e-6).max(1e6)])).min(1);

/** A machine that need not be here, by its rates. */
export const hardwareSchema = z.strictObject({
  name: z.string().min(1),
  gpu: z.strictObject({ memoryGiB: gib, bandwidth, arithmetic }),
  cpu: z.strictObject({ cores: z.int().min(1).max(10_000), bandwidth, arithmetic }),
  /** Copies to the GPU. */
  link: bandwidth,
  ramGiB: gib,
  /** How many times longer the CPU and a copy take while both run. */
  together: z.strictObject({ cpu: factor, copy: factor }).default({ cpu: 1, copy: 1 }),
  /** Microseconds of a layer beside what its weights and arithmetic take. */
  layerUs: z.number().min(0).max(1e6).default(50),
  /** Milliseconds of one expert of so many bytes by its tokens, where they were measured: they replace the rates. */
  measured: z
    .strictObject({ expertBytes: z.number().min(1), cpu: table, gpu: table, copy: z.number().min(1e-6).max(1e6) })
    .optional(),
  /** Figures that were published for this machine, to be printed beside the predicted ones. */
  published: z
    .array(
      z.strictObject({
        model: z.string(),
        /** Share of all experts on the GPU. */
        expertsResident: z.number().min(0).max(1),
        /** Tokens a second by policy. */
        decode: z.record(z.string(), z.number()),
        /** Seconds to the first token by policy and tokens of the prompt. */
        ttft: z.record(z.string(), z.record(z.string(), z.number())),
        /** The lanes of the system that was measured worked one after another. */
        sequential: z.boolean().default(false),
        source: z.string(),
      }),
    )
    .default([]),
});
export type Hardware = z.output<typeof hardwareSchema>;
/** The same as a file has it: what has a default may be left out. */
export type HardwareFile = z.input<typeof hardwareSchema>;
