import { createHash } from 'node:crypto'
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { AwsV4Signer } from 'aws4fetch'
import type { S3Location } from '../config/s3-location.ts'
import { makeTrustContext } from '../lib/trusted-authorities.ts'
import { StoreError } from './file-store.ts'
import { faultOf, unreachable } from './s3-faults.ts'
import { elementsOf, escapeXml, textOf } from './s3-xml.ts'

/** Time without a byte in either direction after which a request is given up and repeated. */
const idleMs = 10_000
/** Attempts of a request: with the delays between them, they bridge the seconds in which a store asks to slow down. */
const maxAttempts = 5
const firstDelayMs = 100
/** Number of times in succession that a download is continued without receiving a byte. */
const maxDrops = 5

type Call = {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  key: string
  query?: Record<string, string>
  headers?: Record<string, string>
  body?: readonly Buffer[]
}

/** An uploaded part of an object. */
export type UploadedPart = { number: number; etag: string }

/**
 * The requests to a bucket, each repeated with growing delays while the store is unavailable. The operator chose its address, so that it
 * may be a private one. All methods reject with a StoreError.
 */
export class S3Client {
  readonly #location: S3Location
  readonly #base: URL
  readonly #agent: HttpAgent | HttpsAgent
  readonly #signingKeys = new Map<string, ArrayBuffer>()

  constructor(location: S3Location, { extraCaFile }: { extraCaFile?: string | undefined } = {}) {
    this.#location = location
    this.#base = new URL(location.endpoint)
    if (location.virtualHost) this.#base.hostname = `${location.bucket}.${this.#base.hostname}`
    else this.#base.pathname = `/${location.bucket}`
    const options = { keepAlive: true, maxSockets: 50, timeout: idleMs }
    const secureContext = extraCaFile === undefined ? undefined : makeTrustContext(extraCaFile)
    this.#agent =
      this.#base.protocol === 'https:' ? new HttpsAgent({ ...options, secureContext }) : new HttpAgent(options)
  }

  /** Stores an object. */
  async put(key: string, body: readonly Buffer[]): Promise<void> {
    await this.#call({ method: 'PUT', key, body }, text)
  }

  /** Returns the size of an object; undefined if it does not exist. */
  size(key: string): Promise<number | undefined> {
    return orMissing(
      this.#call({ method: 'HEAD', key }, async (response) => {
        response.resume()
        return Number(response.headers['content-length'])
      }),
    )
  }

  /** Returns an object as a whole, which must have this size. */
  async get(key: string, bytes: number): Promise<Buffer> {
    const body = await this.#call({ method: 'GET', key }, buffer)
    if (body.length === bytes) return body
    throw new StoreError('a part of the file was lost or changed', `${body.length} bytes`, { isPermanent: true })
  }

  /** Returns the bytes `from` to `to`, inclusive, of an object; a download that breaks off is continued. */
  async read(key: string, from: number, to: number): Promise<Readable> {
    const first = await this.#open(key, from, to)
    return Readable.from(this.#readOn(key, first, from, to), { objectMode: false })
  }

  async *#readOn(key: string, first: IncomingMessage, from: number, to: number) {
    let at = from
    let response = first
    for (let drops = 0; at <= to; drops++) {
      if (drops > 0) response = await this.#open(key, at, to)
      try {
        for await (const chunk of response as AsyncIterable<Buffer>) {
          at += chunk.length
          // the connection to a client that reads slowly is idle for long: only drops without progress count
          drops = 0
          yield chunk
        }
      } catch (error) {
        if (drops >= maxDrops) throw unreachable(error)
      }
    }
  }

  #open(key: string, from: number, to: number): Promise<IncomingMessage> {
    return this.#call({ method: 'GET', key, headers: { range: `bytes=${from}-${to}` } }, async (response) => {
      const range = response.headers['content-range']
      if (response.statusCode === 206 && range?.startsWith(`bytes ${from}-${to}/`)) return response
      response.destroy()
      throw new StoreError('the file store rejected a request', 'no range', { isPermanent: true })
    })
  }

  /** Deletes an object, if it exists. */
  async delete(key: string): Promise<void> {
    await orMissing(this.#call({ method: 'DELETE', key }, text))
  }

  /** Returns the keys of all objects that begin with a prefix. */
  async list(prefix: string): Promise<string[]> {
    const keys: string[] = []
    for (let token: string | undefined; ; ) {
      const query = { 'list-type': '2', prefix, ...(token === undefined ? {} : { 'continuation-token': token }) }
      const xml = await this.#call({ method: 'GET', key: '', query }, text)
      keys.push(...elementsOf(xml, 'Contents').map((item) => textOf(item, 'Key') ?? ''))
      token = textOf(xml, 'NextContinuationToken')
      if (!token) return keys
    }
  }

  /** Begins an upload in parts, and returns its id. */
  async beginUpload(key: string): Promise<string> {
    const xml = await this.#call({ method: 'POST', key, query: { uploads: '' }, body: [] }, text)
    const id = textOf(xml, 'UploadId')
    if (id) return id
    throw new StoreError('the file store rejected a request', 'no UploadId', { isPermanent: true })
  }

  /** Uploads a part, in place of a former one with its number. */
  async uploadPart(key: string, uploadId: string, number: number, body: readonly Buffer[]): Promise<UploadedPart> {
    const query = { partNumber: String(number), uploadId }
    const etag = await this.#call({ method: 'PUT', key, query, body }, async (response) => {
      response.resume()
      return response.headers.etag
    })
    if (etag) return { number, etag: etag.replaceAll('"', '') }
    throw new StoreError('the file store rejected a request', 'no ETag', { isPermanent: true })
  }

  /** Makes the parts of an upload an object. */
  async completeUpload(key: string, uploadId: string, parts: readonly UploadedPart[]): Promise<void> {
    const items = parts.map(
      ({ number, etag }) => `<Part><PartNumber>${number}</PartNumber><ETag>"${escapeXml(etag)}"</ETag></Part>`,
    )
    const document = `<CompleteMultipartUpload>${items.join('')}</CompleteMultipartUpload>`
    const call: Call = { method: 'POST', key, query: { uploadId }, body: [Buffer.from(document)] }
    await this.#call(call, async (response) => {
      const xml = await text(response)
      // the status is sent before the parts are joined, so an error can follow a 200
      const [error] = elementsOf(xml, 'Error')
      if (error !== undefined) throw faultOf(response.statusCode ?? 0, textOf(error, 'Code'))
    })
  }

  /** Aborts all uploads whose keys begin with a prefix; without effect in stores that cannot list them. */
  async abortUploads(prefix: string): Promise<void> {
    for (;;) {
      const query = { uploads: '', prefix }
      const xml = await this.#call({ method: 'GET', key: '', query }, text).catch((error: StoreError) => {
        if (error.code === 'NotImplemented') return ''
        throw error
      })
      const uploads = elementsOf(xml, 'Upload')
      for (const upload of uploads) {
        const query = { uploadId: textOf(upload, 'UploadId') ?? '' }
        await orMissing(this.#call({ method: 'DELETE', key: textOf(upload, 'Key') ?? '', query }, text))
      }
      if (uploads.length === 0 || textOf(xml, 'IsTruncated') !== 'true') return
    }
  }

  /** Returns what `read` returns of the response to a request, and repeats both while the store is unavailable. */
  async #call<T>(call: Call, read: (response: IncomingMessage) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await this.#send(call)
        const { statusCode = 0 } = response
        if (statusCode >= 200 && statusCode < 300) return await read(response)
        throw faultOf(statusCode, textOf(await text(response), 'Code'))
      } catch (error) {
        const fault = error instanceof StoreError ? error : unreachable(error)
        if (fault.isPermanent || attempt === maxAttempts) throw fault
        await sleep(firstDelayMs * 2 ** (attempt - 1) * (0.5 + Math.random()))
      }
    }
  }

  async #send({ method, key, query = {}, headers = {}, body }: Call): Promise<IncomingMessage> {
    const url = new URL(this.#base)
    if (key !== '') url.pathname = `${url.pathname.replace(/\/$/, '')}/${key}`
    url.search = new URLSearchParams(query).toString()
    const { keyId, secret, region } = this.#location
    const signer = new AwsV4Signer({
      ...{ method, url: url.href, region, accessKeyId: keyId, secretAccessKey: secret.reveal() },
      headers: { ...headers, 'x-amz-content-sha256': hashOf(body ?? []) },
      ...{ service: 's3', cache: this.#signingKeys },
    })
    const signed = await signer.sign()
    const length = (body ?? []).reduce((sum, chunk) => sum + chunk.length, 0)
    const sent = { ...Object.fromEntries(signed.headers), ...(body && { 'content-length': String(length) }) }
    return new Promise((resolve, reject) => {
      const send = url.protocol === 'https:' ? httpsRequest : httpRequest
      const req = send(signed.url, { method, headers: sent, agent: this.#agent, timeout: idleMs }, resolve)
      req.on('timeout', () => req.destroy(Object.assign(new Error('no byte in time'), { code: 'ETIMEDOUT' })))
      req.on('error', reject)
      for (const chunk of body ?? []) req.write(chunk)
      req.end()
    })
  }
}

function hashOf(body: readonly Buffer[]): string {
  const hash = createHash('sha256')
  for (const chunk of body) hash.update(chunk)
  return hash.digest('hex')
}

/** Returns undefined instead of the error of an object or an upload that does not exist. */
function orMissing<T>(result: Promise<T>): Promise<T | undefined> {
  return result.catch((error: StoreError) => {
    if (missing.has(error.code)) return undefined
    throw error
  })
}

const missing = new Set(['NoSuchKey', 'NoSuchUpload', 'NotFound', 'HTTP 404'])
