import type { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { uploadPace } from '../http/timing.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { getList } from '../lists/lists.ts'
import { listSkips, listWarnings } from './imports.queries.ts'
import {
  ImportIdParam,
  ImportPage,
  ImportQuery,
  ImportQueuedResponse,
  ImportResponse,
  presentImport,
  readColumns,
} from './imports.schema.ts'
import { getImport, getImportPage, makeUploadSpace, receiveImport, type Upload, type UploadLimits } from './imports.ts'
import { UploadGate } from './upload-gate.ts'

const tags = ['Imports']
const accepted = 'text/csv, application/x-ndjson, application/gzip or application/octet-stream'
/** Uploads of one account that may wait for a place. */
const maxWaiting = 8
/** A file is copied over a database connection of its own; the other requests of the process need the rest of the pool. */
export const copyPlaces = { total: 3, perParty: 1, maxWaiting: 1_000 }

export const importRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/lists/:list_id/imports',
    {
      schema: {
        operationId: 'listImports',
        summary: 'List the imports of a list, latest first',
        description: 'The progress of each import; a single import also has its skipped rows.',
        'x-extension': true,
        tags,
        params: Type.Object({ list_id: ListIdParam }),
        querystring: PageQuery,
        response: { 200: ImportPage, 404: errorResponse('No such list on this account.'), ...commonErrors },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      const found = await getImportPage(rt.db, req.account.id, req.params.list_id, page)
      return presentPage('imports', page, found, (record) => presentImport(record, req.account.timeZone))
    },
  )

  app.get(
    '/lists/:list_id/imports/:import_id',
    {
      schema: {
        operationId: 'getImport',
        summary: 'Get the progress of an import, and its first 1,000 skipped rows and warnings',
        description: 'An import is complete when its `status` is `done` or `failed`.',
        'x-extension': true,
        tags,
        params: Type.Object({ list_id: ListIdParam, import_id: ImportIdParam }),
        response: {
          200: ImportResponse,
          404: errorResponse('No such list or import on this account.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const found = await getImport(rt, req.account.id, req.params.list_id, req.params.import_id)
      const [skips, warnings] = await Promise.all([listSkips(rt.db, found.id), listWarnings(rt.db, found.id)])
      return { status: 'OK' as const, import: { ...presentImport(found, req.account.timeZone), skips, warnings } }
    },
  )

  await app.register(uploadRoute)
}

/** The only route whose body is a file; it has its own scope because the file must not be read into memory. */
const uploadRoute: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  const { places: total, perAccount: perParty } = rt.config.uploads
  const { uploadWaitMs, copyWaitMs } = app.timing
  const uploads = new UploadGate({ total, perParty, maxWaiting, maxWaitMs: uploadWaitMs, leavesRoom: true })
  const copies = new UploadGate({ ...copyPlaces, maxWaitMs: copyWaitMs })
  const space = makeUploadSpace(rt)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_req, payload, done) => done(null, payload))

  app.post(
    '/lists/:list_id/imports',
    {
      config: { upload: true },
      schema: {
        operationId: 'createImport',
        summary: 'Import subscribers from a file',
        description:
          'Streams a CSV file with a header row, or one JSON object per line, of any size; gzip, other delimiters than the ' +
          'comma, UTF-16 with a byte order mark and Windows-1252 are detected. The columns are phone_number ' +
          '(required), first_name, last_name, email, zip_code, birthdate, gender, tags, consented_at, consent_source, ' +
          'consent_text, the custom fields of the list by key or label, and status, opted_in, opted_out, ' +
          'unsubscribed_at and cleaned_at, which state who must not be texted. Usual other names are accepted, and ' +
          '`columns` states the meaning of others. A 202 means that every row is stored ' +
          'and will be applied. A malformed file is rejected with the line number, and nothing is stored; a malformed ' +
          'row is skipped, and an optional value that cannot be read is left out with a warning. No ' +
          'texts are sent. A blank cell does not change its field, the last row of a number takes precedence, and ' +
          'numbers that opted out or were cleaned stay so.',
        'x-extension': true,
        tags,
        params: Type.Object({ list_id: ListIdParam }),
        querystring: ImportQuery,
        response: {
          202: ImportQueuedResponse,
          404: errorResponse('No such list on this account.'),
          408: errorResponse('The upload stalled, or was too slow, before it was complete; nothing is stored.'),
          413: errorResponse('The rows of the file need more space than an account gets.'),
          415: errorResponse(`Content-Type is not ${accepted}, or Content-Encoding is neither gzip nor identity.`),
          422: errorResponse('The file is malformed; the error has the line number.'),
          ...commonErrors,
          503: errorResponse(
            'Too many uploads are running, their rows need too much space, or the database is unavailable; nothing is stored. ' +
              '`Retry-After` has the seconds to wait.',
          ),
        },
      },
    },
    async (req, reply) => {
      const { format, charset } = formatOf(req.headers['content-type'])
      rejectEncoded(req.headers['content-encoding'])
      const { list_id: listId } = req.params
      const { source = null, unknown_columns: unknownColumns = 'reject' } = req.query
      const columns = readColumns(req.query.columns)
      await getList(rt.db, req.account.id, listId)
      const { id: accountId } = req.account
      const upload = {
        accountId,
        listId,
        apiKeyId: req.apiKey.id,
        format,
        charset,
        columns,
        unknownColumns,
        source: source || null,
        body: req.body as Readable,
        onBytes: (bytes: Buffer) => void req.uploadHash?.update(bytes),
      }
      const signal = AbortSignal.any([goneSignalOf(reply), app.stopping])
      const limits: UploadLimits = {
        pace: uploadPace(app.timing, app.stopping),
        space,
        inTurn: (copy) => copies.run(accountId, signal, copy),
      }
      const { id } = await uploads.run(accountId, signal, () =>
        receiveImport(rt, upload, limits).catch((error) => {
          throw req.raw.errored ? errors.uploadBroken() : error
        }),
      )
      const queued = await getImport(rt, req.account.id, listId, id)
      reply.code(202)
      return { status: 'Import queued' as const, import: presentImport(queued, req.account.timeZone) }
    },
  )
}

/** Returns a signal that is aborted, with a 400, when the connection of the request closes. */
function goneSignalOf(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort(errors.uploadBroken()))
  return gone.signal
}

// a byte order mark states which of the UTF encodings a file has
const unicode: ReadonlySet<string> = new Set(['', 'utf-8', 'utf8', 'us-ascii', 'utf-16', 'utf-16le', 'utf-16be'])
// as browsers do, ISO 8859-1 is read as its superset
const windows1252: ReadonlySet<string> = new Set(['windows-1252', 'cp1252', 'iso-8859-1', 'latin1'])
const formats: Readonly<Record<string, Upload['format']>> = {
  'text/csv': 'csv',
  'application/csv': 'csv',
  // of .csv files in Windows, where Excel is installed
  'application/vnd.ms-excel': 'csv',
  'text/tab-separated-values': 'csv',
  'application/x-ndjson': 'ndjson',
  'application/ndjson': 'ndjson',
  'application/gzip': 'csv',
  'application/x-gzip': 'csv',
  // of clients that know nothing about their file, such as generated ones
  'application/octet-stream': 'csv',
}

function formatOf(contentType: string | undefined): Pick<Upload, 'format' | 'charset'> {
  const [type = '', ...params] = (contentType ?? '')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim())
  const charset = params
    .find((param) => param.startsWith('charset='))
    ?.slice('charset='.length)
    .replaceAll('"', '')
  const format = Object.hasOwn(formats, type) ? formats[type] : undefined
  if (format === undefined) throw errors.unsupportedMediaType(accepted)
  if (charset === undefined || unicode.has(charset)) return { format, charset: undefined }
  if (windows1252.has(charset)) return { format, charset: 'windows-1252' }
  throw errors.unsupportedMediaType(`${accepted}, in UTF-8, UTF-16 or windows-1252`)
}

/** Throws a 415 for another encoding of the body than gzip, which is detected whether the header says so or not. */
function rejectEncoded(encoding = ''): void {
  if (!/^\s*(?:identity|gzip|x-gzip)?\s*$/i.test(encoding)) throw errors.unsupportedUploadEncoding()
}
