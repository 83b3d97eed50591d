import { type TSchema, Type } from 'typebox'

export type Page = { page: number; perPage: number; offset: number }

const defaultPerPage = 10
const maxPerPage = 1_000
const maxPage = 1_000_000_000

/** The query keys of a paged collection. */
export const pageQuery = {
  page: Type.Optional(
    Type.Integer({ default: 1, description: 'From 1. Past the end the array is empty; nonsense counts as 1.' }),
  ),
  per_page: Type.Optional(
    Type.Integer({ default: defaultPerPage, description: 'Cut to 1000 when larger; nonsense counts as 10.' }),
  ),
}

/** Puts the page and size that will be used in the place of what was sent, since neither is ever refused. */
export function normalizePage(query: Record<string, unknown>) {
  query.page = Math.min(wholeNumber(query.page) ?? 1, maxPage)
  query.per_page = Math.min(wholeNumber(query.per_page) ?? defaultPerPage, maxPerPage)
}

/** The page a validated query asks for. */
export function pageFrom(query: { page?: number; per_page?: number }): Page {
  const { page = 1, per_page: perPage = defaultPerPage } = query
  return { page, perPage, offset: (page - 1) * perPage }
}

function wholeNumber(given: unknown): number | undefined {
  if (typeof given !== 'number' && typeof given !== 'string') return undefined
  const text = String(given)
  // longer than any page there is, but a number all the same: the cuts above bring it into range
  return /^0*[1-9][0-9]*$/.test(text) ? Number(text) : undefined
}

/** The schema of a paged collection whose records are under `key`. */
export function pageSchema<K extends string, T extends TSchema>(key: K, record: T) {
  return Type.Object({
    status: Type.Literal('OK'),
    per_page: Type.Integer(),
    count: Type.Integer({ description: 'All records, over all pages.' }),
    page: Type.Integer(),
    pages_count: Type.Integer({ description: '0 when there is nothing.' }),
    ...({ [key]: Type.Array(record) } as { [P in K]: ReturnType<typeof Type.Array<T>> }),
  })
}

/** The envelope's own keys, to stand before the records. */
export function envelope({ page, perPage }: Page, count: number) {
  return { status: 'OK' as const, per_page: perPage, count, page, pages_count: Math.ceil(count / perPage) }
}
