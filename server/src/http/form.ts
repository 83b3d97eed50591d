// Query strings and form bodies, in the notation that PHP and Rails share: `subscriber[tags][]=a`.

export type FormValue = string | FormValue[] | Form
export type Form = { [key: string]: FormValue }

const maxPairs = 2_000
const maxDepth = 5

/**
 * Reads `a=1&b[c]=2&d[]=3` into an object. Empty pairs are skipped (one client begins its queries with `?&`), a broken
 * percent escape stays as it is, and of a name given twice the last value counts.
 */
export function parseForm(text: string): Form {
  const form = emptyForm()
  for (const pair of text.split('&', maxPairs)) {
    const equals = pair.indexOf('=')
    const name = unescapeText(equals < 0 ? pair : pair.slice(0, equals))
    if (name !== '') setPath(form, pathOf(name), equals < 0 ? '' : unescapeText(pair.slice(equals + 1)))
  }
  return form
}

/** Without a prototype a field called `__proto__` is a field like any other. */
function emptyForm(): Form {
  return Object.create(null)
}

function unescapeText(text: string): string {
  const spaced = text.replaceAll('+', ' ')
  try {
    return decodeURIComponent(spaced)
  } catch {
    return spaced
  }
}

/** `a[b][]` is the path a, b, ''; a name whose brackets do not pair is a plain name. */
function pathOf(name: string): string[] {
  const open = name.indexOf('[')
  if (open <= 0 || !name.endsWith(']')) return [name]
  const path = [name.slice(0, open), ...name.slice(open + 1, -1).split('][')]
  return path.length > maxDepth ? [name] : path
}

function setPath(form: Form, path: string[], value: string) {
  let place: Form | FormValue[] = form
  for (const [index, key] of path.entries()) {
    const rest = path.slice(index + 1)
    const next: FormValue = rest.length === 0 ? value : rest[0] === '' ? [] : emptyForm()
    if (Array.isArray(place)) {
      place.push(next)
    } else {
      const there: FormValue | undefined = place[key]
      if (rest.length > 0 && typeof there === 'object' && Array.isArray(there) === Array.isArray(next)) {
        place = there
        continue
      }
      place[key] = next
    }
    if (typeof next === 'string') return
    place = next
  }
}
