// Builds the CPU expert kernels with the C++ compiler that is there, each for its own instruction set. Without a
// compiler one line says so and ggml's kernels serve. Usage: node native/build.mjs [--sanitize=address|thread] [--output=FILE]
// [--whole] [--bench]; CXXFLAGS are added. --whole, for packing, fails unless every kernel is built with the C++ runtime
// linked in. --bench makes native/build/check and native/build/speed, programs that need nothing else, instead.
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, statSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = dirname(fileURLToPath(import.meta.url));
const source = join(root, 'src');
const build = join(root, 'build');
const named = process.argv.find((a) => a.startsWith('--output='))?.slice('--output='.length);
const bench = process.argv.includes('--bench');
const sanitizer = process.argv.find((a) => a.startsWith('--sanitize='))?.slice('--sanitize='.length);

const avx2 = ['-mavx2', '-mfma', '-mf16c'];
const avx512 = [...avx2, '-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl'];
const avx512Vnni = [...avx512, '-mavx512vnni'];
// What every CPU with AVX512_BF16 has but Cooper Lake, which is served by avx512-vnni.
const avx512Bf16 = [...avx512Vnni, '-mavx512bf16', '-mavx512vbmi', '-mgfni', '-mbmi2'];
const amxBf16 = [...avx512Bf16, '-mamx-tile', '-mamx-bf16', '-mamx-int8'];
/** Kernels beyond the portable one, by the macro that makes kernels.cpp list them. */
const every =
  process.arch === 'x64'
    ? [
        { file: 'avx2', macro: 'FK_HAVE_AVX2', flags: avx2 },
        { file: 'avx512', macro: 'FK_HAVE_AVX512', flags: avx512 },
        { file: 'avx512_vnni', macro: 'FK_HAVE_AVX512_VNNI', flags: avx512Vnni },
        { file: 'avx512_bf16', macro: 'FK_HAVE_AVX512_BF16', flags: avx512Bf16 },
        { file: 'amx_bf16', macro: 'FK_HAVE_AMX_BF16', flags: amxBf16 },
      ]
    : [];

/** Threads share work in the same way whatever the kernel. */
const kernels = sanitizer === 'thread' ? every.slice(0, 1) : every;

const common = ['-std=c++17', '-fPIC', '-fvisibility=hidden', '-Wall', '-Wextra', `-I${join(root, 'include')}`];
// GCC 12 warns of uninitialised values inside its own AVX-512 headers.
const kernelFlags = ['-O3', '-ffp-contract=fast', '-fno-math-errno', '-fno-trapping-math', '-Wno-maybe-uninitialized'];
const extra = (process.env.CXXFLAGS ?? '').split(/\s+/).filter(Boolean);
const sanitize = sanitizer
  ? ['-g', '-O1', `-fsanitize=${sanitizer === 'address' ? 'address,undefined' : sanitizer}`, '-fno-sanitize-recover=all']
  : [];

/** Linked in where the compiler has it as an archive, so that the library runs with an older C++ runtime or none. */
const runtime =
  process.platform === 'linux' && !sanitizer
    ? ['-static-libstdc++', '-Wl,--gc-sections', `-Wl,--version-script=${join(source, 'exports.map')}`]
    : [];
const whole = process.argv.includes('--whole');

function compiler() {
  for (const name of [process.env.CXX, 'c++', 'g++', 'clang++']) {
    if (!name) continue;
    try {
      execFileSync(name, ['--version'], { stdio: 'ignore' });
      return name;
    } catch {
      // the next name
    }
  }
}

/** Whether `file` is newer than all sources. */
function upToDate(file) {
  try {
    const built = statSync(file).mtimeMs;
    const sources = readdirSync(root, { recursive: true, withFileTypes: true }).filter(
      (e) => e.isFile() && /\.(cpp|h|map|mjs)$/.test(e.name),
    );
    return sources.every((e) => statSync(join(e.parentPath, e.name)).mtimeMs <= built);
  } catch {
    return false;
  }
}

async function main() {
  if (process.env.FIDDLER_NO_NATIVE === '1') return say('not built (FIDDLER_NO_NATIVE=1); ggml computes the experts');
  if (process.platform === 'win32') return say('not built on Windows; ggml computes the experts');
  const output = named ?? (sanitizer ? join(build, `sanitize-${sanitizer}`) : join(build, 'libfiddler-experts.so'));
  if (!named && !whole && !bench && upToDate(output)) return;
  const cxx = compiler();
  if (whole && !cxx) throw new Error('the package holds the CPU expert kernels: a C++ compiler is needed to pack it');
  if (!cxx) return say('not built (no C++ compiler found); ggml computes the experts');

  const run = promisify(execFile);
  const objects = join(build, `objects-${process.pid}`);
  mkdirSync(objects, { recursive: true });
  const compile = async (file, object, flags) => {
    const path = join(objects, `${object}.o`);
    await run(cxx, [...common, ...flags, ...extra, ...sanitize, '-c', file, '-o', path]);
    return path;
  };
  const kernel = (file, flags, object = file) =>
    compile(join(source, 'kernels', `${file}.cpp`), object, [...kernelFlags, ...flags]);

  try {
    const built = await Promise.all(
      kernels.map((k) =>
        kernel(k.file, k.flags).then(
          (object) => ({ ...k, object }),
          (error) => ({ ...k, error }),
        ),
      ),
    );
    // An older compiler lacks newer instruction sets; each kernel builds on those before it.
    const missing = built.findIndex((k) => k.error);
    const kept = missing < 0 ? built : built.slice(0, missing);
    if (missing >= 0 && whole) throw built[missing].error;
    if (missing >= 0) say(`this compiler cannot build ${built.slice(missing).map((k) => k.file).join(', ')}`);
    // Fused products would round otherwise than ggml's.
    const exact = ['-O3', '-ffp-contract=off', '-fno-math-errno', '-fno-trapping-math', '-Wno-maybe-uninitialized'];
    const quantizer = ({ file, flags }) =>
      compile(join(source, 'quantize', `${file}.cpp`), `quantize_${file}`, [...exact, ...flags]);
    const wide = kept.filter(({ file }) => file === 'avx2' || file === 'avx512');
    const plain = (file) =>
      compile(file, file.replaceAll(/\W/g, '_'), ['-O2', ...kept.map((k) => `-D${k.macro}`)]);
    const rest = await Promise.all([
      kernel('portable', []),
      ...[{ file: 'portable', flags: [] }, ...wide].map(quantizer),
      kernel('amx_bf16', ['-DFK_AMX_EMULATED'], 'amx_emulated'),
      ...['api', 'layer_call', 'order', 'pool', 'cpu', 'kernels', 'bus_error'].map((f) => plain(join(source, `${f}.cpp`))),
      ...(sanitizer ? [plain(join(root, 'test', 'driver.cpp'))] : []),
    ]);
    // Linked beside and moved, so that a running process keeps the library it has.
    const linked = join(objects, 'linked');
    const parts = [...kept.map((k) => k.object), ...rest];
    if (bench) {
      for (const [program, file] of Object.entries({ check: 'test/driver.cpp', speed: 'bench/speed.cpp' })) {
        const main = await compile(join(root, file), program, ['-O2']);
        const standalone = ['-static-libstdc++', '-static-libgcc', '-pthread', '-ldl'];
        await run(cxx, [main, ...parts, ...standalone, '-o', join(build, program)]);
      }
      return say(`built ${join(build, 'check')} and ${join(build, 'speed')}`);
    }
    const link = (extra) =>
      run(cxx, [...(sanitizer ? [] : ['-shared']), ...sanitize, ...parts, '-pthread', ...extra, '-o', linked]);
    await link(runtime).catch((error) => (whole ? Promise.reject(error) : link([])));
    renameSync(linked, output);
    say(`built ${output}`);
  } catch (error) {
    say(`not built; ggml computes the experts. The compiler said:\n${error.stderr ?? error.message}`);
    if (sanitizer || whole) process.exitCode = 1;
  } finally {
    rmSync(objects, { recursive: true, force: true });
  }
}

function say(text) {
  console.log(`CPU expert kernels: ${text}`);
}

await main();
