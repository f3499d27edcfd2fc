import type { ScheduleRule } from '@tenon/plugin';

export const schedules: readonly ScheduleRule[] = [];
