import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { createGunzip, gunzip, gzip } from 'node:zlib'
import type { Secret } from '../../config/secret.ts'
import { BackupError, type Frame, isFrameKind, maxLengths, readUntaggedFrames } from './frames.ts'
import { saltLength, TagChain, tagLength } from './signature.ts'

// The bytes of a backup: the line `carillon backup 2`, a random salt, the tag of both; then each frame as the letter of its
// kind, four bytes of length, the gzipped content, and its tag (signature.ts). Nothing follows the frame Z. A reader checks the
// tag before it decompresses. Format 1 was one gzipped stream of frames without tags.

const firstLine = Buffer.from('carillon backup 2\n')
const gzipStart = Buffer.of(0x1f, 0x8b)
const headLength = 5
// gzip lengthens content that it cannot compress by a few bytes
const gzipOverhead = 1_024

/** `own`: signed with this installation's key; `foreign`: with another key, or there is no key to check it; `none`: not signed. */
export type Signature = 'own' | 'foreign' | 'none'

export type BackupFile = {
  signature: Signature
  /**
   * Yields all frames from the beginning of the file. Throws BackupError if a frame differs from what was written, is too
   * long, or is missing, or if bytes follow the last one; before that, frames with an own signature are exactly as written.
   */
  frames(): AsyncGenerator<Frame>
  close(): Promise<void>
}

/** Yields the bytes of a backup with these frames, signed with the key. */
export async function* encodeBackup(frames: AsyncIterable<Frame>, secretKey: Secret): AsyncGenerator<Buffer> {
  const salt = randomBytes(saltLength)
  const chain = new TagChain(secretKey, salt)
  yield Buffer.concat([firstLine, salt, chain.next(firstLine, salt)])
  for await (const { kind, content } of frames) {
    if (content.length > maxLengths[kind]) throw new Error(`a frame ${kind} of ${content.length} bytes is too long`)
    const packed = await promisify(gzip)(content, { level: 4 })
    const head = encodeHead(kind, packed.length)
    yield head
    yield packed
    yield chain.next(head, packed)
  }
}

function encodeHead(kind: string, length: number): Buffer {
  const head = Buffer.alloc(headLength)
  head.write(kind, 'latin1')
  head.writeUInt32BE(length, 1)
  return head
}

/** Opens a backup and checks its first bytes; throws BackupError if it is not a regular file with a backup. */
export async function openBackup(file: string, secretKey: Secret | undefined): Promise<BackupFile> {
  if (!(await stat(file)).isFile()) throw new BackupError('it is not a file') // for example, a pipe cannot be read twice
  const handle = await open(file)
  try {
    const start = await readExactly(handle, 0, firstLine.length + saltLength + tagLength).catch(() => undefined)
    if (start?.subarray(0, firstLine.length).equals(firstLine)) {
      const salt = start.subarray(firstLine.length, firstLine.length + saltLength)
      const tag = start.subarray(-tagLength)
      const isOwn = secretKey !== undefined && new TagChain(secretKey, salt).accepts(tag, firstLine, salt)
      return {
        signature: isOwn ? 'own' : 'foreign',
        frames: () => readTaggedFrames(handle, start, isOwn ? secretKey : undefined),
        close: () => handle.close(),
      }
    }
    const isGzip = (await readExactly(handle, 0, 2).catch(() => undefined))?.equals(gzipStart)
    if (!isGzip) throw new BackupError('it is not a backup of Carillon')
    return { signature: 'none', frames: () => readGzip(file), close: () => handle.close() }
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function* readTaggedFrames(handle: FileHandle, start: Buffer, key: Secret | undefined): AsyncGenerator<Frame> {
  const salt = start.subarray(firstLine.length, firstLine.length + saltLength)
  const chain = key && new TagChain(key, salt)
  chain?.next(firstLine, salt)
  let at = start.length
  for (;;) {
    const damaged = () => new BackupError(`it was changed or damaged after it was written, at byte ${at}`)
    const head = await readExactly(handle, at, headLength)
    const kind = String.fromCharCode(head[0] ?? 0)
    const length = head.readUInt32BE(1)
    if (!isFrameKind(kind) || length > maxLengths[kind] + gzipOverhead) throw damaged()
    const body = await readExactly(handle, at + headLength, length + tagLength)
    const packed = body.subarray(0, length)
    if (chain && !chain.accepts(body.subarray(length), head, packed)) throw damaged()
    const content = await promisify(gunzip)(packed, { maxOutputLength: maxLengths[kind] }).catch(() => {
      throw damaged()
    })
    at += headLength + length + tagLength
    if (kind === 'Z' && at !== (await handle.stat()).size) throw damaged()
    yield { kind, content }
    if (kind === 'Z') return
  }
}

/** Reads bytes at a position; throws BackupError if the file ends before the last of them. */
async function readExactly(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(buffer, done, length - done, position + done)
    if (bytesRead === 0) throw new BackupError('it ends too early')
    done += bytesRead
  }
  return buffer
}

async function* readGzip(file: string): AsyncGenerator<Frame> {
  const bytes = createReadStream(file)
  const frames = createGunzip()
  bytes.on('error', (error) => frames.destroy(error))
  bytes.pipe(frames)
  try {
    let last: Frame | undefined
    for await (const frame of readUntaggedFrames(frames)) {
      if (last?.kind === 'Z') throw new BackupError('frames follow its end')
      last = frame
      yield frame
    }
    if (last?.kind !== 'Z') throw new BackupError('it ends too early')
  } finally {
    bytes.destroy()
    frames.destroy()
  }
}
