import { expect } from 'vitest'
import { applyImport } from '../src/imports/imports.jobs.ts'
import { drainJobs } from '../src/jobs/boss.ts'
import type { useApi } from './api.ts'
import { make } from './make.ts'

type Options = { type?: string; query?: string; as?: 'owner' | 'stranger' }

/** A complete export file of another product, and what its import should do. */
export type ExportFile = {
  file: string | Buffer
  query?: string
  /** The counts that are not zero. */
  counts: Record<string, number>
  /** The people on the list, as `findPeople` returns them. */
  people: string[]
  /** Columns about e-mail and other matters that are ignored by name. */
  ignored?: string[]
}

const countNames = [
  'added',
  'updated',
  'unchanged',
  'kept_opted_out',
  'skipped',
  'opted_out',
  'cleaned',
  'warning_count',
]

/** Returns the text of a file with the line ends of most exports. */
export const lines = (...rows: string[]) => `${rows.join('\r\n')}\r\n`

type ImportView = Record<string, unknown> & {
  id: number
  skip_reasons: Record<string, number>
  skips: { line: number; reason: string; value: string }[]
  warnings: { line: number; column: string; reason: string; value: string }[]
}

/** Returns functions that import files into lists of the owner through the API. */
export function useImports(ctx: ReturnType<typeof useApi>) {
  async function makeList() {
    const { accountId, shortCode } = ctx.owner
    return (await make.list(ctx.db, { accountId, shortCodeId: shortCode.id })).id
  }

  function upload(
    listId: number,
    file: string | Buffer,
    { type = 'text/csv', query = '', as = 'owner' }: Options = {},
  ) {
    return ctx[as].post(`/lists/${listId}/imports${query}`, undefined, {
      payload: file,
      headers: { 'content-type': type },
    })
  }

  /** Uploads and applies a file; returns the import as the API presents it afterwards. */
  async function importFile(listId: number, file: string | Buffer, options: Options = {}): Promise<ImportView> {
    const queued = await upload(listId, file, options)
    expect(queued.text).toContain('"Import queued"')
    expect(queued.status).toBe(202)
    await drainJobs(ctx.rt, [applyImport])
    const { id } = queued.body.import as { id: number }
    return (await ctx.owner.get(`/lists/${listId}/imports/${id}`)).body.import as ImportView
  }

  /** Returns the people on a list by number: number, state unless subscribed, and profile. */
  async function findPeople(listId: number): Promise<string[]> {
    const rows = await ctx.db.many<{ person: string }>(
      'test_people',
      `select concat_ws(' ', phone, nullif(state, 'subscribed'), nullif(first_name, ''), nullif(last_name, ''),
                        nullif(email, ''), nullif(zip_code, ''), nullif(birthdate, ''), gender,
                        nullif(array_to_string(tags, '+'), '')) as person
         from subscribers where list_id = $1 order by phone`,
      [listId],
    )
    return rows.map(({ person }) => person)
  }

  /** Imports an export file into a new list, and expects its counts and people. */
  async function expectExport({ file, query = '', counts, people, ignored = [] }: ExportFile) {
    const listId = await makeList()
    const view = await importFile(listId, file, { query })
    expect(view).toMatchObject({
      status: 'done',
      ...Object.fromEntries(countNames.map((name) => [name, counts[name] ?? 0])),
    })
    expect(view.processed_rows).toBe(view.total_rows)
    expect(view.ignored_columns).toEqual(expect.arrayContaining(ignored))
    expect(await findPeople(listId)).toEqual(people)
  }

  return { makeList, upload, importFile, findPeople, expectExport }
}
