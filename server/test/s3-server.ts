import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import S3rver from '@20minutes/s3rver'
import { AwsV4Signer } from 'aws4fetch'
import type { S3Location } from '../src/config/s3-location.ts'
import { Secret } from '../src/config/secret.ts'

export const bucket = 'files'

export type S3Request = { method: string; host: string; key: string; query: URLSearchParams; bytes: number }

/** What the server does with a request instead of serving it; undefined serves it. */
export type S3Fault =
  | { status: number; code: string }
  | { delayMs: number }
  /** Waits, and then serves the request or closes its connection. */
  | { hold: Promise<'serve' | 'drop'> }
  /** Closes the connection before or after the request has been served, or after some bytes of the response. */
  | { drop: 'before' | 'after' | number }

type Upload = { key: string; parts: Map<number, { bytes: number; etag: string }> }

/**
 * npm `s3rver`, which verifies signatures, behind a front on a port of its own that adds what s3rver lacks: faults, lists of uploads,
 * their abortion, and the rules for parts of AWS (size, ETag, order) and of R2 (equal sizes).
 */
export async function startS3({ minPartBytes = 5 * 1024 * 1024 }: { minPartBytes?: number } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'carillon-s3-'))
  const options = { address: '127.0.0.1', port: 0, silent: true, directory, configureBuckets: [{ name: bucket }] }
  const inner = new S3rver({ ...options, serviceEndpoint: 'localhost' })
  const { port } = await inner.run()
  const uploads = new Map<string, Upload>()

  const front = createServer((req, res) => void serve(req, res).catch(() => res.destroy()))
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  const endpoint = `http://127.0.0.1:${(front.address() as AddressInfo).port}`

  const server = {
    location: {
      ...{ endpoint, region: 'us-east-1', bucket, prefix: 'carillon/', keyId: 'S3RVER', secret: new Secret('S3RVER') },
      ...{ virtualHost: false, partBytes: minPartBytes },
    } satisfies S3Location as S3Location,
    uploads,
    requests: [] as S3Request[],
    /** Decides about each request; tests replace it. */
    fault: (_request: S3Request): S3Fault | undefined => undefined,
    /** The keys of all objects and their sizes. */
    objects(): Record<string, number> {
      const suffix = '._S3rver_object'
      const root = join(directory, bucket)
      const names = readdirSync(root, { recursive: true }).map(String)
      return Object.fromEntries(
        names
          .filter((name) => name.endsWith(suffix))
          .map((name) => [name.slice(0, -suffix.length), statSync(join(root, name)).size]),
      )
    },
    /** Deletes everything. */
    clear() {
      uploads.clear()
      for (const name of readdirSync(join(directory, bucket)))
        rmSync(join(directory, bucket, name), { recursive: true })
      server.requests = []
      server.fault = () => undefined
    },
    async close() {
      front.closeAllConnections()
      front.close()
      inner.httpServer.closeAllConnections()
      await inner.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }

  async function serve(req: IncomingMessage, res: ServerResponse) {
    const body = await buffer(req)
    const url = new URL(req.url ?? '', endpoint)
    const { method = '', headers } = req
    const host = headers.host ?? ''
    // the bucket is in the name of the host or in the path
    const key = url.pathname
      .split('/')
      .slice(host.startsWith(`${bucket}.`) ? 1 : 2)
      .join('/')
    const s3Request = { method, host, key, query: url.searchParams, bytes: body.length }
    server.requests.push(s3Request)
    const fault = server.fault(s3Request)
    if (fault && 'status' in fault) return sendError(res, fault.status, fault.code)
    if (fault && 'delayMs' in fault) await sleep(fault.delayMs)
    if (fault && 'hold' in fault && (await fault.hold) === 'drop') return req.socket.destroy()
    const drop = fault && 'drop' in fault ? fault.drop : undefined
    if (drop === 'before') return req.socket.destroy()
    const wrong = faultOfParts(s3Request, body.toString())
    if (wrong) return sendError(res, 400, wrong)
    const response = await forward(await asPathStyle(req, url), body)
    const given = housekeep(s3Request, response) ?? response
    if (drop === 'after') return req.socket.destroy()
    res.writeHead(given.status, given.headers)
    if (typeof drop === 'number') return res.write(given.body.subarray(0, drop), () => req.socket.destroy())
    res.end(given.body)
  }

  type Given = { status: number; headers: IncomingMessage['headers']; body: Buffer }

  type Sent = { method: string; path: string; headers: Record<string, string> }

  /** A request with the bucket in its host name, whose signature s3rver does not know, as one with the bucket in its path. */
  async function asPathStyle(req: IncomingMessage, url: URL): Promise<Sent> {
    const { method = '', url: path = '' } = req
    const headers = req.headers as Record<string, string>
    if (!headers.host?.startsWith(`${bucket}.`)) return { method, path, headers }
    const { keyId: accessKeyId, secret, region } = server.location
    const sign = async (signed: string) => {
      const signer = new AwsV4Signer({
        ...{ method, url: signed, service: 's3', region, accessKeyId, secretAccessKey: secret.reveal() },
        headers: { 'x-amz-content-sha256': headers['x-amz-content-sha256'] ?? '' },
        datetime: headers['x-amz-date'] ?? '',
      })
      return (await signer.sign()).headers.get('authorization') ?? ''
    }
    if ((await sign(`http://${headers.host}${path}`)) !== headers.authorization) throw new Error('wrong signature')
    const host = `127.0.0.1:${port}`
    const inner = `/${bucket}${url.pathname === '/' ? '' : url.pathname}${url.search}`
    return { method, path: inner, headers: { ...headers, host, authorization: await sign(`http://${host}${inner}`) } }
  }

  function forward({ method, path, headers }: Sent, body: Buffer): Promise<Given> {
    return new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, method, path, headers }, async (response) => {
        const { 'transfer-encoding': _, ...kept } = response.headers
        resolve({ status: response.statusCode ?? 0, headers: kept, body: await buffer(response) })
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }

  /** The error of a request to complete an upload whose parts AWS or R2 rejects. */
  function faultOfParts({ method, query }: S3Request, document: string): string | undefined {
    if (method !== 'POST' || !query.has('uploadId')) return undefined
    const upload = uploads.get(query.get('uploadId') ?? '')
    if (!upload) return 'NoSuchUpload'
    const listed = [...document.matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>(?:"|&quot;)(\w+)/g)]
    const parts = listed.map(([, number, etag]) => ({ etag, stored: upload.parts.get(Number(number)) }))
    if (parts.length === 0 || parts.some(({ etag, stored }) => stored?.etag !== etag)) return 'InvalidPart'
    const sizes = parts.slice(0, -1).map(({ stored }) => stored?.bytes ?? 0)
    if (sizes.some((bytes) => bytes < minPartBytes)) return 'EntityTooSmall'
    return sizes.some((bytes) => bytes !== sizes[0]) ? 'InvalidPart' : undefined
  }

  /** Notes what a response says about uploads; returns the response of requests that s3rver has authenticated but does not know. */
  function housekeep({ method, key, query, bytes }: S3Request, { status, headers, body }: Given): Given | undefined {
    const id = query.get('uploadId') ?? ''
    const xml = body.toString()
    if (status === 200 && method === 'POST' && query.has('uploads'))
      uploads.set(/<UploadId>(\w+)/.exec(xml)?.[1] ?? '', { key, parts: new Map() })
    if (status === 200 && method === 'PUT' && id !== '')
      uploads
        .get(id)
        ?.parts.set(Number(query.get('partNumber')), { bytes, etag: headers.etag?.replaceAll('"', '') ?? '' })
    if (status === 200 && method === 'POST' && id !== '') uploads.delete(id)
    if (/<Code>(NotImplemented|MethodNotAllowed)</.test(xml)) {
      if (method === 'DELETE' && id !== '') {
        const isKnown = uploads.delete(id)
        return isKnown ? { status: 204, headers: {}, body: Buffer.alloc(0) } : errorOf(404, 'NoSuchUpload')
      }
      if (method === 'GET' && query.has('uploads')) {
        const items = [...uploads]
          .filter(([, upload]) => upload.key.startsWith(query.get('prefix') ?? ''))
          .map(([id, upload]) => `<Upload><Key>${upload.key}</Key><UploadId>${id}</UploadId></Upload>`)
        const list = `<ListMultipartUploadsResult>${items.join('')}<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>`
        return { status: 200, headers: {}, body: Buffer.from(list) }
      }
    }
    return undefined
  }

  return server
}

const errorOf = (status: number, code: string) => ({
  status,
  headers: { 'content-type': 'application/xml' },
  body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code></Error>`),
})

function sendError(res: ServerResponse, status: number, code: string) {
  const { headers, body } = errorOf(status, code)
  res.writeHead(status, headers).end(body)
}
