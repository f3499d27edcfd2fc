export { nearest } from 'tenon/tools';
