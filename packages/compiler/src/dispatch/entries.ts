import { TenonError, type Library, type LibraryEntry } from '@tenon/plugin';
import { nearest, type Session } from '@tenon/core';

/** An entry with its library, and the name that reports give it. */
export interface NamedEntry {
  readonly name: string;
  readonly library: Library;
  readonly entry: LibraryEntry;
}

export const dispatchName = 'dispatch-libraries';

/** The entries that may replace kernels of a target: those of its libraries that the configuration does not switch off. */
export function entriesFor(session: Session, target: string): readonly NamedEntry[] {
  // Without the pass nobody would take away the operators that fusion keeps for it.
  if (session.config.passes?.disable?.includes(dispatchName)) return [];
  const disabled = new Set(session.config.dispatch?.disable);
  return session.registry.libraries
    .filter((library) => library.target === target && !disabled.has(library.name))
    .flatMap((library) => library.entries.map((entry) => ({ name: `${library.name}/${entry.id}`, library, entry })))
    .filter(({ name }) => !disabled.has(name));
}

/** The names of all entries: what measurements of libraries are kept under. */
export const entryNames = (session: Session): readonly string[] =>
  session.registry.libraries.flatMap((library) => library.entries.map((entry) => `${library.name}/${entry.id}`));

/** Refuses a configuration that switches off what is not there. */
export function checkDisabled(session: Session): void {
  const known = [...session.registry.libraries.map((library) => library.name), ...entryNames(session)];
  for (const name of session.config.dispatch?.disable ?? []) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    throw new TenonError({
      code: 'config/unknown-library', message: `dispatch.disable: there is no library or entry ${name}`,
      hint: near !== null ? `Did you mean ${near}?` : known.length === 0 ? 'No plugin of this configuration declares a library.' : `There are ${known.join(', ')}.`,
    });
  }
}
