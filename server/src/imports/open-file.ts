import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { errors } from '../errors.ts'
import { EventLoopTurns } from '../lib/event-loop-turns.ts'
import { toUtf8 } from './encodings.ts'
import { isGzip, rejectOtherFormats } from './file-format.ts'

/** Maximum size of an unpacked file, which is 100 million rows: a gzip file of 10 MB can unpack to 10 GB. */
export const maxUnpackedBytes = 8 * 1024 ** 3

const sampleBytes = 16_384

export type OpenFile = {
  /** The beginning of the text, from which the delimiter is detected. */
  sample: string
  /** The text in UTF-8. */
  bytes: AsyncIterable<Buffer>
}

export type OpenOptions = {
  /** The account whose file this is; its files take turns together. */
  accountId?: number
  charset?: 'windows-1252' | undefined
  limit?: number
  /** Maximum number of bytes that are parsed and validated before other requests may get a turn. */
  pieceBytes?: number
}

/** Unpacks a file and converts it to UTF-8; throws a 422 that names the format of a file that is not a text. */
export async function openFile(
  body: AsyncGenerator<Buffer>,
  { accountId, charset, limit = maxUnpackedBytes, pieceBytes = 16_384 }: OpenOptions = {},
): Promise<OpenFile> {
  let bytes = body
  try {
    let file = await peek(bytes)
    bytes = file.bytes
    if (isGzip(file.start)) {
      file = await peek(unpack(bytes, limit))
      bytes = file.bytes
    }
    rejectOtherFormats(file.start)
    const text = await peek(toUtf8(inTurns(bytes, pieceBytes, accountId), file.start, charset))
    return { sample: text.start.toString('utf8').replace(/^\ufeff/, ''), bytes: text.bytes }
  } catch (error) {
    // the body must be free for the code that reads the rest of a rejected upload
    await bytes.return(undefined)
    await body.return(undefined)
    throw error
  }
}

/** Yields the bytes in pieces; between two of them, other requests get a turn. */
async function* inTurns(
  source: AsyncGenerator<Buffer>,
  pieceBytes: number,
  accountId?: number,
): AsyncGenerator<Buffer> {
  const turns = new EventLoopTurns(accountId)
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      yield chunk.subarray(at, at + pieceBytes)
      await turns.yieldIfDue()
    }
  }
}

async function* unpack(bytes: AsyncIterable<Buffer>, limit: number): AsyncGenerator<Buffer> {
  const gunzip = createGunzip()
  let length = 0
  // the loop below throws the error of this promise, too
  pipeline(bytes, gunzip).catch(() => undefined)
  try {
    for await (const chunk of gunzip) {
      length += chunk.length
      if (length > limit) throw errors.badImportFile(1, `the unpacked file is too large (maximum is ${limit} bytes)`)
      yield chunk
    }
  } catch (error) {
    const code = (error as { code?: unknown }).code
    const isDamaged = typeof code === 'string' && code.startsWith('Z_')
    throw isDamaged ? errors.badImportFile(1, 'the gzip file is damaged or incomplete') : error
  }
}

/** Reads the first bytes of a file, and returns them and all bytes. */
async function peek(source: AsyncGenerator<Buffer>): Promise<{ start: Buffer; bytes: AsyncGenerator<Buffer> }> {
  const chunks: Buffer[] = []
  let length = 0
  while (length < sampleBytes) {
    const { done, value } = await source.next()
    if (done) break
    chunks.push(value)
    length += value.length
  }
  async function* replay(): AsyncGenerator<Buffer> {
    try {
      yield* chunks
      yield* source
    } finally {
      await source.return(undefined)
    }
  }
  return { start: Buffer.concat(chunks).subarray(0, sampleBytes), bytes: replay() }
}
