import type { DatabaseSchema } from './schema.ts'

// docs/database.md has a diagram per area. The page names the tables of an area in a comment before the diagram; the
// diagram itself is written from the schema, so that it cannot be wrong.

const block = /<!-- diagram of ([\w, ]+) -->\n\n```mermaid\n[^`]*```\n/g

/** Returns the page with its diagrams written anew; throws when a table is in no area, in two, or does not exist. */
export function fillDiagrams(page: string, schema: DatabaseSchema): string {
  const areas = [...page.matchAll(block)].map(([, tables = '']) => tables.split(', '))
  const named = areas.flat()
  const names = schema.tables.map(({ name }) => name)
  const missing = names.filter((name) => !named.includes(name))
  const strange = named.filter((name, i) => !names.includes(name) || named.indexOf(name) !== i)
  if (missing.length > 0) throw new Error(`docs/database.md has no diagram with ${missing.join(', ')}`)
  if (strange.length > 0)
    throw new Error(`docs/database.md names ${strange.join(', ')}, which do not exist or are named twice`)
  return page.replace(
    block,
    (_, tables: string) => `<!-- diagram of ${tables} -->\n\n${diagramOf(schema, tables.split(', '))}`,
  )
}

/** Returns a diagram of these tables: their keys, and all their references, to tables of other areas too. */
function diagramOf(schema: DatabaseSchema, names: string[]): string {
  const tables = schema.tables.filter(({ name }) => names.includes(name))
  const entities = tables.map(({ name, columns, key, references }) => {
    const lines = columns
      .filter((column) => key.includes(column.name) || references.some((to) => to.column === column.name))
      .map((column) => {
        const marks = [
          key.includes(column.name) && 'PK',
          references.some((to) => to.column === column.name) && 'FK',
        ].filter(Boolean)
        return `    ${column.definition.split(' ')[0]} ${column.name}${marks.length > 0 ? ` ${marks.join(', ')}` : ''}\n`
      })
    return lines.length === 0 ? `  ${name}\n` : `  ${name} {\n${lines.join('')}  }\n`
  })
  const relations = tables.flatMap(({ name, key, references }) =>
    references.map(({ column, table, nullable }) => {
      const isOne = key.length === 1 && key[0] === column
      return `  ${table} ${nullable ? '|o' : '||'}--${isOne ? 'o|' : 'o{'} ${name} : ${column}\n`
    }),
  )
  return `\`\`\`mermaid\nerDiagram\n${entities.join('')}${relations.join('')}\`\`\`\n`
}
