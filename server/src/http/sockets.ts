import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.ts'
import { SharedBudget } from '../lib/shared-budget.ts'
import type { Metrics } from '../system/metrics.ts'
import { RequestTurns, type WaitingWork } from './request-turns.ts'
import { SocketPool } from './socket-pool.ts'

/** Maximum number of requests of a socket that have no complete response yet; clients that pipeline send two or three. */
const maxPipelined = 10

/** Minimum rate at which a client reads a response: 1 MB in 100 seconds. */
const bytesPerMs = 10

/** Maximum number of sockets of an account that are searched for an idle one. */
const maxSearched = 100

/** Size from which a response counts; smaller ones fit into the buffers of the kernel. */
const countedBytes = 16_384

export type SocketsOptions = {
  /** Maximum number of sockets of the process. */
  max: number
  /** Maximum size of the bodies and responses in memory, of all accounts. */
  bufferBytes: number
  /** Returns whether the sockets of an address belong to many clients. */
  isProxy(address: string): boolean
  /** Time that a client may take for a response, in addition to that of its bytes at the minimum rate. */
  responseGraceMs: number
}

type Entry = {
  socket: Socket
  /** The address, or the network of an IPv6 address. */
  address: string
  isProxy: boolean
  /** The account whose key the last request had. */
  account: number | undefined
  /** Number of requests without a complete response. */
  requests: number
  /** Those that have not been started. */
  waiting: WaitingWork
  /** Memory for bodies and responses, until all requests have their responses. */
  reserved: { account: number; bytes: number }[]
  /** Time at which the responses that were sent must have been read. */
  readBy: number
}

/**
 * The sockets of the api. A socket is a stranger's until a request with a valid key arrives on it. Strangers have at most
 * half of all sockets; if a socket is too many, it displaces the one that its largest owner (an address, an account) has not used for the longest
 * time. So one address or one account cannot lock others out, and slow sockets end when others need them.
 */
export class Sockets {
  readonly #options: SocketsOptions
  readonly #entries = new Map<Socket, Entry>()
  readonly #strangers = new SocketPool<string, Entry>()
  readonly #keyed = new SocketPool<number, Entry>()
  /** Those with a response that its client has not read completely. */
  readonly #unread = new Set<Entry>()
  readonly #turns = new RequestTurns()
  readonly #discards = new RequestTurns()
  readonly #buffers: SharedBudget<number>
  #responseGraceMs: number
  #isStopping = false
  /** Time at which the sockets of strangers are closed. */
  #strangersUntil = Number.POSITIVE_INFINITY
  #closed = 0

  constructor(options: SocketsOptions) {
    this.#options = options
    this.#responseGraceMs = options.responseGraceMs
    this.#buffers = new SharedBudget(options.bufferBytes)
  }

  /** Counts a new socket; closes another one, or this one, if there are too many. */
  open(socket: Socket): void {
    const address = networkOf(socket.remoteAddress ?? '')
    const isProxy = this.#options.isProxy(socket.remoteAddress ?? '')
    const entry: Entry = {
      socket,
      address,
      isProxy,
      account: undefined,
      requests: 0,
      waiting: [],
      reserved: [],
      readBy: Number.POSITIVE_INFINITY,
    }
    this.#entries.set(socket, entry)
    if (!isProxy) this.#strangers.renew(address, entry)
    socket.once('close', () => this.#forget(entry))
    if (this.#strangers.size > this.#options.max / 2) this.#closeOne(this.#strangers.largest())
    else if (this.#entries.size > this.#options.max) {
      this.#closeOne(this.#keyed.size > 0 ? this.#keyed.largest() : new Set([entry]))
    }
  }

  /** Calls `handle` when it is the request's turn: at once on a socket of a caller with a key, or of a proxy. */
  receive(request: IncomingMessage, response: ServerResponse, handle: () => void): void {
    const entry = this.#entries.get(request.socket)
    if (!entry) return
    if (++entry.requests > maxPipelined) {
      this.#close(entry)
      return
    }
    response.once('close', () => {
      if (--entry.requests > 0) return
      // Node would wait for the next request
      if (this.#isStopping) entry.socket.destroySoon()
      entry.readBy = Number.POSITIVE_INFINITY
      this.#unread.delete(entry)
      this.#release(entry)
    })
    // requests of one socket start in their order
    if ((entry.isProxy || entry.account !== undefined) && entry.waiting.length === 0) {
      handle()
      return
    }
    this.#turns.add(entry.address, entry.waiting, () => {
      if (!entry.socket.destroyed) handle()
    })
  }

  /** Notes that a request on the socket had a key of the account. */
  setAccount(socket: Socket, accountId: number): void {
    const entry = this.#entries.get(socket)
    if (!entry || entry.isProxy) return
    if (entry.account === undefined) this.#strangers.remove(entry.address, entry)
    else if (entry.account !== accountId) this.#keyed.remove(entry.account, entry)
    entry.account = accountId
    this.#keyed.renew(accountId, entry)
  }

  /** Reserves memory for bytes of a body or a response until the socket has sent its responses; returns false without enough. */
  reserve(socket: Socket, account: number, bytes: number): boolean {
    const entry = this.#entries.get(socket)
    // injected requests have no socket
    if (!entry) return true
    if (!this.#buffers.take(account, bytes)) return false
    const last = entry.reserved.at(-1)
    if (last?.account === account) last.bytes += bytes
    else entry.reserved.push({ account, bytes })
    return true
  }

  /** Reads one piece of a body that nothing needs when it is its turn. */
  readPiece(request: IncomingMessage): void {
    const address = this.#entries.get(request.socket)?.address ?? ''
    this.#discards.add(address, [], () => request.resume())
  }

  /** Notes that a response of this many bytes is sent on the socket. */
  setResponse(socket: Socket, bytes: number): void {
    const entry = this.#entries.get(socket)
    if (!entry) return
    if (entry.readBy === Number.POSITIVE_INFINITY) entry.readBy = performance.now() + this.#responseGraceMs
    // when the server stops, all responses together have the grace
    if (!this.#isStopping) entry.readBy += bytes / bytesPerMs
    this.#unread.add(entry)
  }

  /** Closes the sockets whose clients have not read their responses in time. */
  closeUnread(): void {
    const now = performance.now()
    for (const entry of this.#unread) if (entry.readBy < now) this.#close(entry)
    if (this.#strangersUntil > now) return
    for (const entry of this.#entries.values()) if (entry.account === undefined && !entry.isProxy) this.#close(entry)
  }

  /**
   * Closes all sockets without a request, and from now on each one whose requests have their responses. `graceMs` replaces the
   * time in which a client reads its responses; strangers have no more than that for all of their requests, because
   * the key of one may still be looked up.
   */
  stop(graceMs: number): void {
    this.#isStopping = true
    this.#responseGraceMs = graceMs
    const readBy = performance.now() + graceMs
    this.#strangersUntil = readBy
    for (const entry of this.#entries.values()) {
      if (entry.requests === 0) entry.socket.destroy()
      else if (entry.readBy < Number.POSITIVE_INFINITY) entry.readBy = Math.min(entry.readBy, readBy)
    }
  }

  /** Returns the number of open sockets by kind, and of those that were closed because of a limit. */
  counts() {
    const [strangers, keyed] = [this.#strangers.size, this.#keyed.size]
    return { strangers, keyed, proxies: this.#entries.size - strangers - keyed, closed: this.#closed }
  }

  /** Closes the first of the sockets that has no running request, or the first one if the next 100 have one. */
  #closeOne(candidates: ReadonlySet<Entry>): void {
    const [first] = candidates
    let victim = first
    if (first && first.requests > 0 && first.account !== undefined) {
      let searched = 0
      for (const entry of candidates) {
        if (entry.requests === 0) victim = entry
        if (entry.requests === 0 || ++searched === maxSearched) break
      }
    }
    if (victim) this.#close(victim)
  }

  #close(entry: Entry): void {
    this.#closed++
    this.#forget(entry)
    entry.socket.destroy()
  }

  #release(entry: Entry): void {
    if (entry.reserved.length === 0) return
    for (const { account, bytes } of entry.reserved) this.#buffers.release(account, bytes)
    entry.reserved = []
  }

  #forget(entry: Entry): void {
    if (!this.#entries.delete(entry.socket)) return
    this.#unread.delete(entry)
    this.#release(entry)
    if (entry.account !== undefined) this.#keyed.remove(entry.account, entry)
    else this.#strangers.remove(entry.address, entry)
  }
}

/** Returns an IPv4 address, or the first 64 bits of an IPv6 address, of which one client has all. */
export function networkOf(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address
  const [head = '', tail] = address.split('::')
  const groups = head.split(':')
  if (tail === undefined || groups.length >= 4) return groups.slice(0, 4).join(':')
  const last = tail === '' ? [] : tail.split(':')
  const zeros = Array<string>(8 - (head === '' ? 0 : groups.length) - last.length).fill('0')
  return [...(head === '' ? [] : groups), ...zeros, ...last].slice(0, 4).join(':')
}

/** Connects the sockets with the requests of `app`, closes them at its end, and reports their numbers. */
export function useSockets(app: FastifyInstance, sockets: Sockets, metrics: Metrics) {
  const timer = setInterval(() => sockets.closeUnread(), app.timing.checkMs).unref()
  app.addHook('preClose', async () => sockets.stop(app.timing.stopGraceMs))
  app.addHook('onClose', async () => clearInterval(timer))
  app.addHook('onSend', (req, reply, payload, done) => {
    const bytes = sizeOf(payload)
    sockets.setResponse(req.raw.socket, bytes ?? Number(reply.getHeader('content-length') ?? 0))
    // a write is not taken back: its response is small
    const isCounted = bytes !== undefined && bytes > countedBytes && req.method === 'GET' && req.account
    if (isCounted && !sockets.reserve(req.raw.socket, req.account.id, bytes)) done(errors.tooManyBytes())
    else done(null, payload)
  })
  metrics.register(() => {
    const { strangers, keyed, proxies } = sockets.counts()
    const values = Object.entries({ strangers, keyed, proxies }).map(([of, value]) => ({ labels: { of }, value }))
    return { name: 'carillon_http_sockets', help: 'Open sockets, by kind of client', type: 'gauge', values }
  })
  metrics.register(() => ({
    name: 'carillon_http_sockets_closed_total',
    help: 'Sockets that were closed because of a limit',
    type: 'counter',
    values: [{ labels: {}, value: sockets.counts().closed }],
  }))
}

/** Returns the size of a body in bytes, of a string at least; undefined for a stream. */
function sizeOf(payload: unknown): number | undefined {
  return typeof payload === 'string' || Buffer.isBuffer(payload) ? payload.length : undefined
}
