import { createHash, randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { type AddedParts, type FilePart, type FileStore, StoreError, sizeOf } from './file-store.ts'
import type { S3Client, UploadedPart } from './s3-client.ts'

/** S3's limit for an upload. */
const maxParts = 10_000
/** Number of pieces from which some are joined; far fewer than the last parts that a store gets. */
const maxPieces = 40

/**
 * Files in a bucket, each of which becomes one object, by an upload in parts. An upload takes only parts of some size, so what is appended
 * is first stored as small objects, the pieces, which are durable. When they suffice for a part, they are read and uploaded as one; the
 * pieces stay until the file is finished, because the caller may not have committed the part. All parts but the last have the same size,
 * as R2 wants.
 *
 * Names: `piece-<uuid>` is an object; `part <number> <etag> <object> <upload>` a part of the upload of an object; `file-<id>` the finished
 * object. No name is used twice: after a restore of an old backup, the folder of a report may have objects of another one with its id.
 */
export class S3Store implements FileStore {
  readonly #client: S3Client
  readonly #prefix: string
  readonly #partBytes: number

  constructor(client: S3Client, { prefix, partBytes }: { prefix: string; partBytes: number }) {
    this.#client = client
    this.#prefix = prefix
    this.#partBytes = partBytes
  }

  async append(folder: string, last: readonly FilePart[], content: AsyncIterable<Buffer>): Promise<AddedParts> {
    const { uploaded, pieces } = split(last)
    let waiting = pieces
    let upload = uploaded.at(-1)
    // the setting may have changed since the upload began
    const partBytes = upload?.bytes ?? this.#partBytes
    let chunks: Buffer[] = []
    let size = 0
    const added: FilePart[] = []
    for await (const chunk of content) {
      chunks.push(chunk)
      size += chunk.length
      while (sizeOf(waiting) + size >= partBytes) {
        chunks = [...(await this.#readPieces(folder, waiting)), ...chunks]
        size += sizeOf(waiting)
        waiting = []
        const [body, rest] = cut(chunks, partBytes)
        upload = await this.#uploadPart(folder, upload, body)
        added.push(partOf(upload))
        chunks = rest
        size -= partBytes
      }
    }
    if (size === 0) return { replaced: pieces.length - waiting.length, added }
    const joined = waiting.slice(firstToJoin(waiting, size))
    const piece = { name: `piece-${randomUUID()}`, bytes: sizeOf(joined) + size }
    await this.#client.put(this.#key(folder, piece.name), [...(await this.#readPieces(folder, joined)), ...chunks])
    return { replaced: pieces.length - waiting.length + joined.length, added: [...added, piece] }
  }

  async finish(folder: string, parts: readonly FilePart[]): Promise<FilePart[]> {
    const bytes = sizeOf(parts)
    const finished = parts.length === 1 ? parts.find(isFinished) : undefined
    const { uploaded, pieces } = split(finished ? [] : parts)
    const name = finished?.name ?? uploaded[0]?.object ?? `file-${hashOf(pieces)}`
    // the parts of a file that was finished, but whose caller died, no longer exist
    if ((await this.#client.size(this.#key(folder, name))) !== bytes) await this.#join(folder, name, uploaded, pieces)
    await this.#deleteAllBut(folder, name)
    return [{ name, bytes }]
  }

  async #join(folder: string, name: string, uploaded: PartOfUpload[], pieces: readonly FilePart[]): Promise<void> {
    const rest = await this.#readPieces(folder, pieces)
    const [first] = uploaded
    if (!first) return this.#client.put(this.#key(folder, name), rest)
    const all = rest.length > 0 ? [...uploaded, await this.#uploadPart(folder, uploaded.at(-1), rest)] : uploaded
    const key = this.#key(folder, name)
    await this.#client.completeUpload(key, first.uploadId, all).catch(async (error: StoreError) => {
      // it was completed by a request whose response was lost
      const isComplete = error.code === 'NoSuchUpload' && (await this.#client.size(key)) === sizeOf(all)
      if (!isComplete) throw error
    })
  }

  async has(folder: string, parts: readonly FilePart[]): Promise<boolean> {
    const [file] = parts
    if (!file || parts.length > 1 || !isFinished(file)) return false
    return (await this.#client.size(this.#key(folder, file.name))) === file.bytes
  }

  read(folder: string, parts: readonly FilePart[], from: number, to: number): Promise<Readable> {
    return this.#client.read(this.#key(folder, parts[0]?.name ?? ''), from, to)
  }

  delete(folder: string): Promise<void> {
    return this.#deleteAllBut(folder)
  }

  /** Uploads the part that follows another one, or the first of a new upload. */
  async #uploadPart(folder: string, before: PartOfUpload | undefined, body: Buffer[]): Promise<PartOfUpload> {
    const object = before?.object ?? `file-${randomUUID()}`
    const key = this.#key(folder, object)
    const number = (before?.number ?? 0) + 1
    if (number > maxParts) throw new StoreError('the file has too many parts', `${number}`, { isPermanent: true })
    const uploadId = before?.uploadId ?? (await this.#client.beginUpload(key))
    const bytes = body.reduce((sum, { length }) => sum + length, 0)
    return { ...(await this.#client.uploadPart(key, uploadId, number, body)), bytes, object, uploadId }
  }

  async #readPieces(folder: string, pieces: readonly FilePart[]): Promise<Buffer[]> {
    const bodies: Buffer[] = []
    for (const { name, bytes } of pieces) bodies.push(await this.#client.get(this.#key(folder, name), bytes))
    return bodies
  }

  async #deleteAllBut(folder: string, kept?: string): Promise<void> {
    await this.#client.abortUploads(this.#key(folder, ''))
    for (const key of await this.#client.list(this.#key(folder, ''))) {
      if (kept === undefined || key !== this.#key(folder, kept)) await this.#client.delete(key)
    }
  }

  #key(folder: string, name: string): string {
    return `${this.#prefix}${folder}/${name}`
  }
}

type PartOfUpload = UploadedPart & { bytes: number; object: string; uploadId: string }

const isFinished = ({ name }: FilePart) => name.startsWith('file-')

const partOf = ({ number, etag, object, uploadId, bytes }: PartOfUpload): FilePart => ({
  name: `part ${number} ${etag} ${object} ${uploadId}`,
  bytes,
})

const hashOf = (parts: readonly FilePart[]) =>
  createHash('sha256')
    .update(parts.map(({ name }) => name).join())
    .digest('hex')
    .slice(0, 32)

/** Returns the uploaded parts and the pieces behind them. */
function split(parts: readonly FilePart[]): { uploaded: PartOfUpload[]; pieces: FilePart[] } {
  const uploaded: PartOfUpload[] = []
  const pieces: FilePart[] = []
  for (const part of parts) {
    const [, number, etag = '', object = '', uploadId = ''] = /^part (\d+) (\S+) (\S+) (.+)$/.exec(part.name) ?? []
    if (number !== undefined) uploaded.push({ number: Number(number), etag, object, uploadId, bytes: part.bytes })
    else if (part.name.startsWith('piece-')) pieces.push(part)
    else throw new StoreError('the file was begun in another file store', 'unknown part', { isPermanent: true })
  }
  return { uploaded, pieces }
}

/**
 * Returns the index of the first of too many pieces that is joined with those behind it and a new one: one that is not larger than all of
 * these. So each of the pieces that stay is larger than the rest, and their number is at most the logarithm of their size.
 */
function firstToJoin(pieces: readonly FilePart[], newBytes: number): number {
  if (pieces.length < maxPieces) return pieces.length
  return pieces.findIndex(({ bytes }, n) => bytes <= sizeOf(pieces.slice(n + 1)) + newBytes)
}

/** Returns the first bytes of some buffers, and the rest. */
function cut(chunks: readonly Buffer[], bytes: number): [Buffer[], Buffer[]] {
  let missing = bytes
  for (const [n, chunk] of chunks.entries()) {
    if (chunk.length >= missing) {
      const rest = chunk.subarray(missing)
      return [
        [...chunks.slice(0, n), chunk.subarray(0, missing)],
        [...(rest.length > 0 ? [rest] : []), ...chunks.slice(n + 1)],
      ]
    }
    missing -= chunk.length
  }
  return [[...chunks], []]
}
