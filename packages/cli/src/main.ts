#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

// Imported after this, so that the second start is quick.
enableCompileCache();
const { runCli } = await import('./cli.ts');
process.exitCode = await runCli(process.argv.slice(2), { stdout: process.stdout, stderr: process.stderr, env: process.env });
