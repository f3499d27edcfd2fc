import type { ScheduleRule } from '@tenon/plugin';
import { rows } from './rows.ts';

export const schedules: readonly ScheduleRule[] = [rows];
