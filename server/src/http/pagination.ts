import { type TSchema, Type } from 'typebox'
import type { Page, PageOf } from '../lib/paging.ts'
import { Count, Whole } from './schema.ts'

const defaultPerPage = 10
const maxPerPage = 1_000
const maxPage = 1_000_000_000

/** The query parameters of a paged collection. */
export const pageQuery = {
  page: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: maxPage,
      default: 1,
      description: 'From 1. A page past the end is empty; a value that is not a page number counts as 1.',
    }),
  ),
  per_page: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: maxPerPage,
      default: defaultPerPage,
      description: 'At most 1000; a value that is not a positive number counts as 10.',
    }),
  ),
}

export const PageQuery = Type.Object(pageQuery)

/** Clamps the page and size of a query; an invalid value is replaced with the default instead of being rejected. */
export function normalizePage(query: Record<string, unknown>) {
  query.page = Math.min(wholeNumber(query.page) ?? 1, maxPage)
  query.per_page = Math.min(wholeNumber(query.per_page) ?? defaultPerPage, maxPerPage)
}

/** Returns the page that a validated query requests. */
export function pageFrom(query: { page?: number; per_page?: number }): Page {
  const { page = 1, per_page: perPage = defaultPerPage } = query
  return { page, perPage, offset: (page - 1) * perPage }
}

function wholeNumber(given: unknown): number | undefined {
  if (typeof given !== 'number' && typeof given !== 'string') return undefined
  const text = String(given)
  // digits of any length; the caller clamps the number
  return /^0*[1-9][0-9]*$/.test(text) ? Number(text) : undefined
}

/** Returns the schema of a paged collection with its records under `key`; its name is that of the record and `Page`. */
export function pageSchema<K extends string, T extends TSchema>(key: K, record: T) {
  return Type.Object(
    {
      status: Type.Literal('OK'),
      per_page: Whole(1, maxPerPage),
      count: Count('Number of records over all pages.'),
      page: Whole(1, maxPage),
      pages_count: Count('Number of pages; 0 when there are no records.'),
      ...({ [key]: Type.Array(record) } as { [P in K]: ReturnType<typeof Type.Array<T>> }),
    },
    'title' in record ? { title: `${record.title}Page` } : {},
  )
}

/** Returns the response to a request for a page: the envelope, then the presented records under `key`. */
export function presentPage<K extends string, T, V>(
  key: K,
  page: Page,
  { count, records }: PageOf<T>,
  present: (record: T) => V,
) {
  const presented = { [key]: records.map((record) => present(record)) } as { [P in K]: V[] }
  return { ...envelope(page, count), ...presented }
}

/** Returns the keys that every page has besides its records. */
export function envelope({ page, perPage }: Page, count: number) {
  return { status: 'OK' as const, per_page: perPage, count, page, pages_count: Math.ceil(count / perPage) }
}
