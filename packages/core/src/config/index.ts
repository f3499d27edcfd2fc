export { validateConfig, nearest } from './config.ts';
