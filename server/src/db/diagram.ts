import type { DatabaseSchema } from './schema.ts'

// docs/database.md has a diagram per area. A comment before the diagram lists the tables of the area; the diagram is
// generated from the schema.

const block = /<!-- diagram of ([\w, ]+) -->\n\n```mermaid\n[^`]*```\n/g

/** Returns the page with new diagrams; throws if a table has no area, has several, or does not exist. */
export function fillDiagrams(page: string, schema: DatabaseSchema): string {
  const areas = [...page.matchAll(block)].map(([, tables = '']) => tables.split(', '))
  const listed = areas.flat()
  const names = schema.tables.map(({ name }) => name)
  const missing = names.filter((name) => !listed.includes(name))
  const invalid = listed.filter((name, i) => !names.includes(name) || listed.indexOf(name) !== i)
  if (missing.length > 0) throw new Error(`docs/database.md has no diagram with ${missing.join(', ')}`)
  if (invalid.length > 0)
    throw new Error(`docs/database.md lists ${invalid.join(', ')}, which do not exist or are listed twice`)
  return page.replace(
    block,
    (_, tables: string) => `<!-- diagram of ${tables} -->\n\n${diagramOf(schema, tables.split(', '))}`,
  )
}

/** Returns a diagram of these tables with their keys and all their references, including those to other areas. */
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
