import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { errors } from '../errors.ts'
import { readRange } from '../files/byte-range.ts'
import { StoreError } from '../files/file-store.ts'
import { fileStoreOf } from '../files/installed-store.ts'
import { isSigned, type SignedQuery } from '../files/signed-links.ts'
import type { Runtime } from '../runtime.ts'
import { contentTypeOf, fileNameOf, filePathOf, folderOf } from './momt-files.ts'
import { listReportParts } from './momt-parts.queries.ts'
import { findReportFile } from './momt-reports.queries.ts'

/** The files of reports: a link of `s3_url` that has not expired needs no key. */
export const momtFileRoutes: FastifyPluginAsync<{ rt: Runtime }> = async (app, { rt }) => {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/files/momt_reports/:id/:name',
    schema: { hide: true },
    handler: (req, reply) => sendFile(rt, req, reply),
  })
}

async function sendFile(rt: Runtime, req: FastifyRequest, reply: FastifyReply) {
  const { id, name } = req.params as { id: string; name: string }
  const file = /^[1-9]\d{0,14}$/.test(id) ? { id: Number(id), name } : undefined
  if (!file || !isSigned(rt.config, filePathOf(file), req.query as SignedQuery, rt.clock.now()))
    throw errors.fileNotFound()
  const report = await findReportFile(rt.db, file.id)
  if (!report || fileNameOf(report) !== name) throw errors.fileNotFound()
  const parts = await listReportParts(rt.db, report.id)
  const store = fileStoreOf(rt.config)
  // a backup contains the report, but not its file
  if (!(await orUnavailable(req, store.has(folderOf(report), parts)))) throw errors.fileNotFound()
  const size = parts.reduce((sum, { bytes }) => sum + bytes, 0)
  const tag = `"${report.id}-${report.completedAt.getTime()}"`
  const isSameFile = req.headers['if-range'] === undefined || req.headers['if-range'] === tag
  const range = isSameFile ? readRange(req.headers.range, size) : 'all'
  reply.headers({ 'accept-ranges': 'bytes', etag: tag })
  if (range === 'unsatisfiable') {
    reply.header('content-range', `bytes */${size}`)
    throw errors.rangeNotSatisfiable()
  }
  const { from, to } = range === 'all' ? { from: 0, to: size - 1 } : range
  if (range !== 'all') reply.code(206).header('content-range', `bytes ${from}-${to}/${size}`)
  reply.headers({
    'content-type': contentTypeOf(report),
    'content-disposition': `attachment; filename="${name}"`,
    'content-length': to - from + 1,
  })
  if (req.method === 'HEAD' || size === 0) return reply.send('')
  return reply.send(await orUnavailable(req, store.read(folderOf(report), parts, from, to)))
}

/** A failure of the store is a 503 that somebody must see: the link is valid, and the file exists. */
async function orUnavailable<T>(req: FastifyRequest, result: Promise<T>): Promise<T> {
  try {
    return await result
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    req.log.error({ err: error }, 'file store failed')
    throw errors.unavailable()
  }
}
