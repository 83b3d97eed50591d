import { isUtf8 } from 'node:buffer'
import { decodeWindows1252 } from '../lib/windows-1252.ts'

// Query strings and form bodies, in the notations of PHP and Rails: `subscriber[tags][]=a`. PHP also writes `[tags][0]`, which
// leniency.ts converts where the schema requires an array.

export type FormValue = string | FormValue[] | Form
export type Form = { [key: string]: FormValue }

const maxDepth = 5

/**
 * Parses `a=1&b[c]=2&d[]=3` into an object. Skips empty pairs (one client starts its queries with `?&`), does not change
 * a malformed percent escape, and uses the last value of a repeated name. Escapes that are not UTF-8 are read as
 * Windows-1252, which older clients send (`Ren%E9`).
 */
export function parseForm(text: string): Form {
  if (text === '') return emptyForm()
  return formOf(
    text.split('&').map((pair) => {
      const equals = pair.indexOf('=')
      const name = decodePart(equals < 0 ? pair : pair.slice(0, equals))
      return [name, equals < 0 ? '' : decodePart(pair.slice(equals + 1))]
    }),
  )
}

/** Returns the form of these names and values, in the notation of `parseForm`; skips pairs without a name. */
export function formOf(pairs: Iterable<[name: string, value: string]>): Form {
  const form = emptyForm()
  for (const [name, value] of pairs) if (name !== '') setPath(form, pathOf(name), value)
  return form
}

/** Returns an object without a prototype, so that a field named `__proto__` is an ordinary field. */
function emptyForm(): Form {
  return Object.create(null)
}

const surrogateEscape = /%ed%[ab][0-9a-f]%[89ab][0-9a-f]/i

function decodePart(text: string): string {
  return text.replaceAll('+', ' ').replace(/(?:%[0-9a-f]{2})+/gi, decodeEscapes)
}

/** Decodes a row of escapes. Not with decodeURIComponent: a body may have 200,000 rows that it rejects, and errors are slow. */
function decodeEscapes(escapes: string): string {
  // a single byte of UTF-8 is ASCII, which Windows-1252 contains
  if (escapes.length === 3) return decodeWindows1252([Number.parseInt(escapes.slice(1), 16)])
  const bytes = Buffer.from(escapes.replaceAll('%', ''), 'hex')
  if (isUtf8(bytes)) return bytes.toString()
  // half of a surrogate pair, which the validation rejects
  if (surrogateEscape.test(escapes)) return '\ud800'
  return decodeWindows1252(bytes)
}

/** Returns the path of a name: a, b, '' for `a[b][]`; a name with unbalanced brackets is one key. */
function pathOf(name: string): string[] {
  const open = name.indexOf('[')
  if (open <= 0 || !name.endsWith(']')) return [name]
  const path = [name.slice(0, open), ...name.slice(open + 1, -1).split('][')]
  return path.length > maxDepth ? [name] : path
}

function setPath(form: Form, path: string[], value: string) {
  let target: Form | FormValue[] = form
  for (const [index, key] of path.entries()) {
    const rest = path.slice(index + 1)
    const next: FormValue = rest.length === 0 ? value : rest[0] === '' ? [] : emptyForm()
    if (Array.isArray(target)) {
      const last = target.at(-1)
      // `a[][b]=1&a[][c]=2` is one item with two keys
      if (rest.length > 0 && rest[0] !== '' && isForm(last) && !hasPath(last, rest)) {
        target = last
        continue
      }
      target.push(next)
    } else {
      const existing: FormValue | undefined = target[key]
      if (rest.length > 0 && typeof existing === 'object' && Array.isArray(existing) === Array.isArray(next)) {
        target = existing
        continue
      }
      target[key] = next
    }
    if (typeof next === 'string') return
    target = next
  }
}

function isForm(value: FormValue | undefined): value is Form {
  return typeof value === 'object' && !Array.isArray(value)
}

/** Returns whether the form has a value at the path; an array at its end accepts further values. */
function hasPath(form: Form, [key = '', ...rest]: string[]): boolean {
  const value = form[key]
  if (value === undefined || rest[0] === '') return false
  return rest.length === 0 || !isForm(value) || hasPath(value, rest)
}
