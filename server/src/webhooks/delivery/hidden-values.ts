/** Replaces a value that the log and the API do not show. */
export const hiddenValue = '[hidden]'

/** Shorter values are not hidden, because they could be part of any text; also the length of the keys of the index. */
const minLength = 8

/**
 * Finds secrets of a request in a response that repeats them: whole or in words, as they were sent, decoded, or escaped for a URL, JSON or
 * HTML. The search takes the same time for any number of secrets, because it looks up each eight bytes of a text in an index.
 */
export class HiddenValues {
  /** The secrets by their first eight bytes, the longest first. */
  readonly #index = new Map<string, Buffer[]>()
  #longest = 0

  constructor(values: string[]) {
    const forms = values.flatMap(wordsOf).flatMap(formsOf)
    const secrets = [...new Set(forms)].map((form) => Buffer.from(form)).filter(({ length }) => length >= minLength)
    for (const secret of secrets.sort((a, b) => b.length - a.length)) {
      const key = secret.toString('latin1', 0, minLength)
      const others = this.#index.get(key)
      if (others) others.push(secret)
      else this.#index.set(key, [secret])
    }
    this.#longest = secrets[0]?.length ?? 0
  }

  /** Returns up to `limit` bytes of a text in which each secret is replaced; none is cut, so no part of one remains. */
  hide(text: Buffer, limit: number): Buffer {
    if (this.#index.size === 0) return text.subarray(0, limit)
    // all secrets that begin before the limit are in this part
    const searched = text.subarray(0, limit + this.#longest)
    // latin1 has a character for each byte
    const characters = searched.toString('latin1')
    const parts: Buffer[] = []
    let shownTo = 0
    let hiddenTo = 0
    for (let at = 0; at < limit && at + minLength <= searched.length; at++) {
      const end = this.#endOfSecret(searched, characters, at)
      if (end <= hiddenTo) continue
      // an overlapping secret extends the replaced part
      if (at >= hiddenTo) parts.push(searched.subarray(shownTo, at), Buffer.from(hiddenValue))
      hiddenTo = end
      shownTo = end
    }
    if (parts.length === 0) return text.subarray(0, limit)
    if (shownTo < limit) parts.push(searched.subarray(shownTo, limit))
    return Buffer.concat(parts).subarray(0, limit)
  }

  /** Returns the end of the longest secret at an index, 0 without one. */
  #endOfSecret(text: Buffer, characters: string, at: number): number {
    for (const secret of this.#index.get(characters.slice(at, at + minLength)) ?? []) {
      if (text.compare(secret, 0, secret.length, at, Math.min(at + secret.length, text.length)) === 0) {
        return at + secret.length
      }
    }
    return 0
  }
}

/** Returns a value and its words: those of a header, the parameters of a query, and the user name and password in base64. */
function wordsOf(value: string): string[] {
  const words = value.split(/[\s,;&=]+/)
  // `=` may be the end of base64, too
  const [scheme = '', credentials] = value.split(' ')
  const decoded =
    scheme.toLowerCase() === 'basic' && credentials ? Buffer.from(credentials, 'base64').toString('utf8') : ''
  return [value, ...value.split(/[\s,;&]+/), ...words, decoded, decoded.slice(decoded.indexOf(':') + 1)]
}

/** Returns the forms in which a receiver repeats a value. */
function formsOf(value: string): string[] {
  const plain = [value, percentDecoded(value), percentDecoded(value.replaceAll('+', ' '))]
  return plain.flatMap((form) => {
    const encoded = encodeURIComponent(form)
    const json = JSON.stringify(form).slice(1, -1)
    return [
      ...[form, encoded, encoded.replaceAll('%20', '+'), encoded.replace(/%../g, (code) => code.toLowerCase())],
      ...[json, json.replaceAll('/', '\\/'), htmlEscaped(form)],
    ]
  })
}

/** Returns a value without its percent encoding; a malformed one as it is. */
function percentDecoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const htmlEscaped = (value: string) => value.replace(/[&<>"']/g, (character) => entities[character] ?? character)
