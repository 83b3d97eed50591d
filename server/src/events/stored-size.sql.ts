/** Maximum bytes of the payloads that one page of the feed, or of due deliveries, has; a payload may have 2 MB. */
export const maxPageBytes = '4194304'

/**
 * Returns the SQL expression of the most characters that a json or jsonb column may have, without reading a value that is stored
 * outside of its row. PostgreSQL's own compression makes a value at most 90 times as small: 3 bytes repeat up to 273. That of lz4
 * makes it at most 255 times as small. A null has none.
 */
export const mostCharacters = (column: string): string => /* sql */ `
  coalesce(pg_column_size(${column})
           * case pg_column_compression(${column}) when 'pglz' then 90::bigint when 'lz4' then 255 else 1 end, 0)`
