/** The requested page. */
export type Page = { page: number; perPage: number; offset: number }

/** The offset and limit of a page, for a query. */
export type PageBounds = Pick<Page, 'offset' | 'perPage'>

/** The records of one page, and the number of records over all pages. */
export type PageOf<T> = { count: number; records: T[] }

/** Returns a page from the results of its two queries. */
export async function pageOf<T>(counting: Promise<number>, listing: Promise<T[]>): Promise<PageOf<T>> {
  const [count, records] = await Promise.all([counting, listing])
  return { count, records }
}

/** Returns a page of a collection that has been read in full. */
export function slicePage<T>(all: T[], { offset, perPage }: Page): PageOf<T> {
  return { count: all.length, records: all.slice(offset, offset + perPage) }
}
