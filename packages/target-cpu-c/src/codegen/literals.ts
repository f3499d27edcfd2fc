import type { ElementType } from './types.ts';

/** A constant of a scalar type as C text. */
export function literal(value: number | bigint, type: ElementType): string {
  switch (type.kind) {
    case 'bool':
      return Number(value) === 0 ? '0' : '1';
    case 'float':
      return floatLiteral(Number(value), type.value === 'f32' ? 'f' : '');
    case 'uint':
      return `${value}${type.bytes === 8 ? 'ULL' : type.bytes === 4 ? 'U' : ''}`;
    case 'int': {
      const text = String(value);
      if (type.bytes === 8) return text === '-9223372036854775808' ? '(-9223372036854775807LL - 1)' : signed(text, 'LL');
      return text === '-2147483648' ? '(-2147483647 - 1)' : signed(text, '');
    }
  }
}

const signed = (text: string, ending: string): string => (text.startsWith('-') ? `(${text}${ending})` : `${text}${ending}`);

function floatLiteral(value: number, ending: string): string {
  if (Number.isNaN(value)) return `__builtin_nan${ending}("")`;
  if (!Number.isFinite(value)) return `${value < 0 ? '(-' : ''}__builtin_inf${ending}()${value < 0 ? ')' : ''}`;
  const digits = Object.is(value, -0) ? '-0' : String(value);
  const text = `${/[.e]/.test(digits) ? digits : `${digits}.0`}${ending}`;
  return value < 0 || Object.is(value, -0) ? `(${text})` : text;
}
