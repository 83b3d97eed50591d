// Query strings and form bodies, in the notation that PHP and Rails share: `subscriber[tags][]=a`.

export type FormValue = string | FormValue[] | Form
export type Form = { [key: string]: FormValue }

const maxPairs = 2_000
const maxDepth = 5

/**
 * Parses `a=1&b[c]=2&d[]=3` into an object. Skips empty pairs (one client starts its queries with `?&`), does not change
 * a malformed percent escape, and uses the last value of a repeated name.
 */
export function parseForm(text: string): Form {
  const form = emptyForm()
  for (const pair of text.split('&', maxPairs)) {
    const equals = pair.indexOf('=')
    const name = decodePart(equals < 0 ? pair : pair.slice(0, equals))
    if (name !== '') setPath(form, pathOf(name), equals < 0 ? '' : decodePart(pair.slice(equals + 1)))
  }
  return form
}

/** Returns an object without a prototype, so that a field named `__proto__` is an ordinary field. */
function emptyForm(): Form {
  return Object.create(null)
}

function decodePart(text: string): string {
  const spaced = text.replaceAll('+', ' ')
  try {
    return decodeURIComponent(spaced)
  } catch {
    return spaced
  }
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
