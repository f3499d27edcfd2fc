import { diagnosticOf, formatDiagnostic, type Diagnostic } from 'tenon';
import { version } from 'tenon/tools';
import { parseArguments } from './arguments.ts';
import type { Command, CommandContext, Report } from './command.ts';
import { findCommand } from './commands/index.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { commandHelp, helpJson, mainHelp } from './help.ts';
import { createProgress } from './terminal/progress.ts';
import { styleFor, type Paint, type Sink } from './terminal/style.ts';

export interface CliStreams {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly env: { readonly [name: string]: string | undefined };
}

/** Runs a command line, without the program's name; gives the exit code. */
export async function runCli(argv: readonly string[], streams: CliStreams): Promise<number> {
  const { stdout, stderr, env } = streams;
  const json = argv.includes('--json');
  const style = styleFor(stdout, env);
  const errorStyle = styleFor(stderr, env);
  const progress = createProgress(stderr, env);
  const interrupt = new AbortController();
  const onSignal = (): void => {
    if (interrupt.signal.aborted) process.exit(exitCodes.interrupted);
    interrupt.abort(new Error('interrupted'));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  const warnings: Diagnostic[] = [];
  const ctx: CommandContext = {
    signal: interrupt.signal, env,
    progress: (step, done = null, total = null) => {
      progress.show(step, done, total);
    },
    report(diagnostic) {
      warnings.push(diagnostic);
      if (json || diagnostic.severity === 'note') return;
      progress.clear();
      stderr.write(`${paintedDiagnostic(diagnostic, errorStyle.paint)}\n`);
    },
  };
  try {
    const report = await dispatch(argv, ctx);
    progress.stop();
    const text = json ? JSON.stringify({ ...report.json, ...(warnings.length === 0 ? {} : { warnings }) }, jsonValue, 2) : report.text(style);
    if (text !== '') stdout.write(`${text}\n`);
    return report.exitCode ?? exitCodes.ok;
  } catch (error) {
    progress.stop();
    if (interrupt.signal.aborted) {
      stderr.write('interrupted\n');
      return exitCodes.interrupted;
    }
    const diagnostic = describe(error, env);
    if (json) stdout.write(`${JSON.stringify({ error: diagnostic, ...(warnings.length === 0 ? {} : { warnings }) }, jsonValue, 2)}\n`);
    else stderr.write(`${paintedDiagnostic(diagnostic, errorStyle.paint)}\n`);
    if (env['TENON_DEBUG'] === '1') stderr.write(`${stackOf(error)}\n`);
    return exitCodeOf(diagnostic);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

async function dispatch(argv: readonly string[], ctx: CommandContext): Promise<Report> {
  // Before a command there may stand `--json` only; `--help` and `--version` are commands there.
  const at = argv.findIndex((arg) => arg !== '--json');
  const word = argv[at];
  const rest = argv.slice(at + 1);
  if (word === undefined || word === '--help' || word === '-h') return { json: helpJson(), text: mainHelp };
  if (word === '--version' || word === '-v' || word === '-V') {
    return { json: { version, node: process.version }, text: () => version };
  }
  if (word === 'help') {
    const name = rest.find((arg) => !arg.startsWith('-'));
    if (name === undefined) return { json: helpJson(), text: mainHelp };
    const command = findCommand(name);
    return { json: helpJson(command), text: (style) => commandHelp(command, style) };
  }
  const command = findCommand(word);
  if (rest.includes('--help') || rest.includes('-h')) return { json: helpJson(command), text: (style) => commandHelp(command, style) };
  const args = parseArguments(withCommonOptions(command), rest);
  return command.run(args, ctx);
}

function withCommonOptions(command: Command): Command {
  return { ...command, options: { ...command.options, json: { doc: '' }, help: { short: 'h', doc: '' } } };
}

/** What went wrong, as a diagnostic: any other exception is a defect. */
function describe(error: unknown, env: CliStreams['env']): Diagnostic {
  const known = diagnosticOf(error);
  if (known !== null) return known;
  return {
    severity: 'error', code: 'internal', message: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    hint: env['TENON_DEBUG'] === '1' ? 'this is a defect: please report it' : 'this is a defect: please report it, with what TENON_DEBUG=1 prints',
    op: null, loc: null, text: null, related: [],
  };
}

function stackOf(error: unknown): string {
  const parts: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) parts.push(at.stack ?? at.message);
  return parts.join('\ncaused by ');
}

function paintedDiagnostic(diagnostic: Diagnostic, paint: Paint): string {
  const colour = diagnostic.severity === 'error' ? 'red' : diagnostic.severity === 'warning' ? 'yellow' : 'cyan';
  return formatDiagnostic(diagnostic, (part, text) => paint(part === 'severity' ? colour : 'dim', text));
}

/** JSON has neither 64-bit integers nor infinities. */
function jsonValue(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}

