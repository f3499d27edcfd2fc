import type { ScheduleRule } from '@tenon/plugin';
import { besideOthers } from './beside.ts';
import { contraction } from './contraction/rule.ts';
import { rows } from './rows.ts';
import { strassen } from './strassen/rule.ts';
import { winograd } from './winograd/rule.ts';

export const schedules: readonly ScheduleRule[] = [winograd, strassen, contraction, rows].map(besideOthers);
