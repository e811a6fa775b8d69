import type { Command } from 'commander';
import type { AcceleratorExamination, Examination } from '../devices/examination.js';
import { POLICIES } from '../experts/policies/index.js';
import { addCommon } from './options.js';
import { VERSION } from './package.js';
import { formatBytes } from './report.js';

const EXAMPLES = `
fiddler doctor
fiddler doctor --refresh
fiddler doctor --json`;

interface DoctorFlags {
  json?: boolean;
  refresh?: boolean;
  debug?: boolean;
}

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .summary('show the machine as the engine sees it')
    .description(
      'Shows the CPU, the memory and each accelerator: whether it works, and if not, why. GPUs are tried in a process of their own, and what was found is remembered for this driver and library.',
    )
    .option('--json', 'one JSON object')
    .option('--refresh', 'try every GPU again, whatever is remembered')
    .option('--debug', "let ggml's own log lines through");
  addCommon(command, EXAMPLES).action(doctor);
}

async function doctor({ json, refresh = false, debug }: DoctorFlags): Promise<void> {
  const { examineMachine } = await import('../devices/examination.js');
  const { ARCHITECTURES } = await import('../models/gguf/index.js');
  const { FAMILIES } = await import('../models/index.js');
  const { EXPERT_TYPES } = await import('../native/expert-arguments.js');
  const { silenceLog } = await import('../native/ggml/backend.js');
  const { COMPUTED_TYPES } = await import('../weights/gguf/types.js');
  if (!debug) silenceLog();
  const examination = examineMachine(refresh);
  const policies = POLICIES.map(({ name, summary }) => ({ name, summary }));
  const families = FAMILIES.map(({ name, modelType }) => name ?? modelType);
  const architectures = ARCHITECTURES.map(({ name }) => name);
  const types = COMPUTED_TYPES;
  const nativeTypes = Object.keys(EXPERT_TYPES);
  const found = { version: VERSION, ...examination, policies, families, architectures, types, nativeTypes };
  process.stdout.write(json ? `${JSON.stringify(found)}\n` : formatExamination(found));
}

function formatExamination(
  found: Examination & {
    version: string;
    policies: { name: string; summary: string }[];
    families: string[];
    architectures: string[];
    types: readonly string[];
    /** Of these, what the native kernels compute. */
    nativeTypes: readonly string[];
  },
): string {
  const {
    version,
    cpu,
    ram,
    accelerators,
    auto,
    libraries,
    ggml,
    policies,
    families,
    architectures,
    types,
    nativeTypes,
  } = found;
  return [
    `Fiddler ${version}, Node ${process.versions.node}, ${process.platform}-${process.arch}\n`,
    table('CPU', [
      ['model', cpu.model],
      ['cores', coresOf(cpu)],
      ['extensions', cpu.features.join(' ')],
      ...(cpu.library ? [['kernels', cpu.library] as const] : []),
      ...expertRows(cpu.kernels[0], types, nativeTypes),
      ['RAM', `${formatBytes(ram.available)} available of ${formatBytes(ram.total)}`],
    ]),
    table(`Accelerators (auto takes ${auto})`, accelerators.flatMap(acceleratorRows)),
    table(
      'Policies',
      policies.map((p, i) => [p.name, `${p.summary}${i === 0 ? ' (default)' : ''}`]),
    ),
    table('Models', [
      ['families', families.join(', ')],
      ['GGUF', architectures.join(', ')],
      ['types', types.join(', ')],
    ]),
    table(
      `Libraries (ggml ${ggml})`,
      libraries.map(({ file, version }) => [version ?? '', file]),
    ),
  ].join('\n');
}

/** What computes experts of each type on the CPU beside a GPU. */
function expertRows(kernel: string | undefined, types: readonly string[], native: readonly string[]): Row[] {
  if (kernel === undefined) return [['experts beside a GPU', "by ggml's kernels: native ones were not built"]];
  const others = types.filter((type) => !native.includes(type));
  return [
    ['experts beside a GPU', `${native.join(', ')} by ${kernel}`],
    ['', `${others.join(', ')} by ggml`],
  ];
}

function coresOf({ cores, hardwareThreads }: Examination['cpu']): string {
  return `${cores} may be used${hardwareThreads > cores ? ` (of ${hardwareThreads} hardware threads)` : ''}`;
}

/** A line a device. */
export function acceleratorRows({ name, summary, works, fault, devices }: AcceleratorExamination): Row[] {
  if (devices.length === 0) return [[name, works ? `works: ${summary}` : `not usable: ${fault}`]];
  return devices.map((device, i) => {
    const state = device.fault
      ? `does not work: ${device.fault}`
      : device.software
        ? 'works, in software: not for auto'
        : 'works';
    const memory = `${formatBytes(device.free)} free of ${formatBytes(device.total)}`;
    const lack = device.lack === undefined ? '' : `; ${device.lack}`;
    return [i === 0 ? name : '', `${state}; ${device.name}, ${device.description}, ${memory}${lack}`];
  });
}

type Row = readonly [name: string, value: string];

function table(title: string, rows: readonly Row[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return [title, ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)].join('\n').concat('\n');
}
