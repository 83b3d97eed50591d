/** The requested page. */
export type Page = { page: number; perPage: number; offset: number }

/** The rows of a page for a query. */
export type PageBounds = Pick<Page, 'offset' | 'perPage'>

/** The records of one page, and how many records there are over all pages. */
export type PageOf<T> = { count: number; records: T[] }

/** One page from its two queries. */
export async function pageOf<T>(counting: Promise<number>, listing: Promise<T[]>): Promise<PageOf<T>> {
  const [count, records] = await Promise.all([counting, listing])
  return { count, records }
}

/** One page of a collection that is small enough to be read whole. */
export function slicePage<T>(all: T[], { offset, perPage }: Page): PageOf<T> {
  return { count: all.length, records: all.slice(offset, offset + perPage) }
}
