/** Fails a test file that runs where code can be made from strings: then it would prove nothing. */
let works = true;
try {
  // oxlint-disable-next-line no-implied-eval, no-new-func
  works = Function('return true')() as boolean;
} catch {
  works = false;
}
if (works) throw new Error('code can be made from strings here: --disallow-code-generation-from-strings is not in force');
