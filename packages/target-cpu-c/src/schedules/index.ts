import type { ScheduleRule } from '@tenon/plugin';
import { contraction } from './contraction/rule.ts';
import { rows } from './rows.ts';

export const schedules: readonly ScheduleRule[] = [contraction, rows];
