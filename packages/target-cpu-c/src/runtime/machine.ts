import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * Instruction set extensions of this machine by their names in /proc/cpuinfo; null where they cannot be told. On Apple
 * silicon every machine has what compilers assume, so that nothing needs to be compared.
 */
export function machineFeatures(): ReadonlySet<string> | null {
  if (process.platform === 'linux') {
    try {
      const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
      return line === null ? null : new Set(line[1]!.trim().split(/\s+/));
    } catch {
      return null;
    }
  }
  if (process.platform === 'darwin' && process.arch === 'x64') {
    try {
      const names = execFileSync('sysctl', ['-n', 'machdep.cpu.features', 'machdep.cpu.leaf7_features'], { encoding: 'utf8' });
      return new Set(names.trim().toLowerCase().replaceAll('avx1.0', 'avx').replaceAll('sse4.1', 'sse4_1').replaceAll('sse4.2', 'sse4_2').split(/\s+/));
    } catch {
      return null;
    }
  }
  return null;
}
