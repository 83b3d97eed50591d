import { Readable } from 'node:stream'
import type { Upload } from '../src/imports/imports.ts'

/** Returns the upload of a CSV file for a list, whose unknown columns are rejected. */
export const csvUpload = (list: { id: number; accountId: number }, file: string | Readable): Upload => ({
  accountId: list.accountId,
  listId: list.id,
  apiKeyId: null,
  format: 'csv',
  unknownColumns: 'reject',
  source: null,
  body: typeof file === 'string' ? Readable.from([Buffer.from(file)]) : file,
})
