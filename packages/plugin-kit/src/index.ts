export { importText } from './import-text.ts';
export { KitError, runKit, type KitOptions } from './run-kit.ts';
export { badge, formatReport, tiers, type Failure, type Note, type Report, type Tier, type TierResult } from './report.ts';
