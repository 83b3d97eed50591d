import { expect } from 'vitest'
import { applyImport } from '../src/imports/imports.jobs.ts'
import { drainJobs } from '../src/jobs/boss.ts'
import type { useApi } from './api.ts'
import { make } from './make.ts'

type Options = { type?: string; query?: string; as?: 'owner' | 'stranger' }

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

  return { makeList, upload, importFile }
}
