import './fastify-types.ts'
import { randomFillSync, randomUUID } from 'node:crypto'
import type { AddressInfo, Socket } from 'node:net'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import { accountRoutes, recordingCallerFinder } from '../accounts/accounts.routes.ts'
import { apiKeyRoutes } from '../accounts/api-keys.routes.ts'
import { connectionRoutes } from '../connections/connections.routes.ts'
import { sendingRouteRoutes } from '../connections/sending-routes.routes.ts'
import { customFieldRoutes } from '../custom-fields/custom-fields.routes.ts'
import { type RequestScope, requestScope } from '../db/request-transaction.ts'
import { donationRoutes } from '../donations/donations.routes.ts'
import { errors } from '../errors.ts'
import { eventRoutes } from '../events/events.routes.ts'
import { flightPlanRoutes } from '../flight-plans/flight-plans.routes.ts'
import { importRoutes } from '../imports/imports.routes.ts'
import { inboundRoutes } from '../inbound/inbound.routes.ts'
import { keywordRoutes } from '../keywords/keywords.routes.ts'
import { makeRanges } from '../lib/address-ranges.ts'
import { beginShortRequest, endShortRequest } from '../lib/event-loop-turns.ts'
import { Histogram, LabeledCounter } from '../lib/metric-series.ts'
import { Repeater } from '../lib/repeater.ts'
import { clickRoutes } from '../links/clicks.routes.ts'
import { shortUrlRoutes } from '../links/short-urls.routes.ts'
import { listSizeRoutes } from '../lists/list-sizes.routes.ts'
import { listRoutes } from '../lists/lists.routes.ts'
import { optInSettingsRoutes } from '../lists/opt-in-settings.routes.ts'
import { draftRoutes } from '../messages/drafts/drafts.routes.ts'
import { messageRoutes } from '../messages/messages.routes.ts'
import { deleteListRoutes } from '../messages/stop/delete-list.routes.ts'
import { pauseRoutes } from '../messages/stop/pause.routes.ts'
import { transactionalMessageRoutes } from '../messages/transactional/transactional-messages.routes.ts'
import { optInRoutes } from '../opt-ins/opt-ins.routes.ts'
import { quietHoursRoutes } from '../quiet-hours/quiet-hours.routes.ts'
import { rateRoutes } from '../rates/rates.routes.ts'
import { receiptRoutes } from '../receipts/receipts.routes.ts'
import { explanationRoutes } from '../reports/explanation.routes.ts'
import { metricsRoutes } from '../reports/metrics.routes.ts'
import { momtFileRoutes } from '../reports/momt-file.routes.ts'
import { momtReportRoutes } from '../reports/momt-reports.routes.ts'
import { recipientRoutes } from '../reports/recipients.routes.ts'
import type { Runtime } from '../runtime.ts'
import { shortCodeRoutes } from '../short-codes/short-codes.routes.ts'
import { subscriberRoutes } from '../subscribers/subscribers.routes.ts'
import { tagRoutes } from '../subscribers/tags.routes.ts'
import { upsertHeartbeat } from '../system/heartbeats.queries.ts'
import type { Metrics } from '../system/metrics.ts'
import { attemptRoutes } from '../webhooks/delivery-log/attempts.routes.ts'
import { webhookHealthRoutes } from '../webhooks/delivery-log/health.routes.ts'
import { waitingRoutes } from '../webhooks/delivery-log/waiting.routes.ts'
import { replayRoutes } from '../webhooks/replays/replays.routes.ts'
import { testEventRoutes } from '../webhooks/test-events.routes.ts'
import { webhookSecretRoutes } from '../webhooks/webhook-secrets.routes.ts'
import { webhookRoutes } from '../webhooks/webhooks.routes.ts'
import { useAccessLog } from './access-log.ts'
import { useAccountPlaces } from './account-places.ts'
import { useAuth } from './auth.ts'
import { useBodyParser } from './body-parser.ts'
import { serveConsole } from './console.ts'
import { presentError, sendError, useErrorHandler } from './error-handler.ts'
import { parseForm } from './form.ts'
import { healthRoutes } from './health.ts'
import { useHostCheck } from './host-header.ts'
import { useIdempotency } from './idempotency.ts'
import { useLeniency } from './leniency.ts'
import { useOpenApi } from './openapi.ts'
import { usePatch } from './patch.ts'
import { useRateLimit } from './rate-limit.ts'
import { setResponseHeaders, useResponseHeaders } from './response-headers.ts'
import { useAccept, useNotFound } from './routing-errors.ts'
import { makeServer } from './server.ts'
import { maxHeaderSize, maxHeaders } from './server-limits.ts'
import { Sockets, useSockets } from './sockets.ts'
import { useStop } from './stop.ts'
import { assertHttpTiming, type HttpTiming, timing } from './timing.ts'
import { useUnreadBodies } from './unread-bodies.ts'
import { useOriginCheck } from './web-pages.ts'

const bodyLimit = 1_000_000

/** Number of connections that wait until they are accepted; a client that finds no place tries again after a second. */
const listenBacklog = 4_096

/** Returns the api role's HTTP server, ready to listen or to receive injected requests; only requests access the database. */
export async function makeApp(rt: Runtime, durations: HttpTiming = timing): Promise<FastifyInstance> {
  const { trustedProxies, maxSockets, bufferBytes } = rt.config.http
  const sockets = new Sockets({
    max: maxSockets,
    bufferBytes,
    isProxy: proxyMatcher(trustedProxies),
    responseGraceMs: durations.responseGraceMs,
  })
  const app = Fastify({
    loggerInstance: rt.log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: makeRequestId,
    bodyLimit,
    serverFactory: (handle) => makeServer(handle, sockets, durations),
    rewriteUrl: rewriteRequest,
    // Fastify's 503 would not have the error envelope (stop.ts)
    return503OnClosing: false,
    // published URLs start with CARILLON_PUBLIC_URL, whatever `Host` and the headers of a proxy say
    trustProxy: trustedProxies.length > 0 && [...trustedProxies],
    routerOptions: {
      ignoreTrailingSlash: true,
      ignoreDuplicateSlashes: true,
      // ids longer than Fastify's limit of 100 must reach the validation, which returns the 404 of their noun
      maxParamLength: 16_000,
      querystringParser: parseForm,
    },
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allErrors: true,
        strict: false,
      },
    },
    frameworkErrors: (_error, req, reply) => {
      setResponseHeaders(reply as FastifyReply)
      sendError(errors.unreadableRequest('Malformed request path'), req, reply as FastifyReply)
    },
    clientErrorHandler,
  })
  const scope = requestScope(rt.db)
  app.decorate('rt', { ...rt, db: scope.db })
  app.decorate('timing', durations)
  // not fast-json-stringify, which would drop unknown keys and convert null: the types check responses, presenters pick keys
  app.setSerializerCompiler(() => JSON.stringify)
  useErrorHandler(app)
  useNotFound(app)
  useAccessLog(app)
  useRequestMeter(app, rt.metrics)
  useShortRequests(app)
  useResponseHeaders(app)
  useStop(app)
  useSockets(app, sockets, rt.metrics)
  useUnreadBodies(app, sockets)
  useHostCheck(app)
  useOriginCheck(app, rt.config.http.publicUrl)
  useBodyParser(app, sockets)
  useLeniency(app)
  await useOpenApi(app)
  await app.register(healthRoutes)
  await app.register(metricsRoutes)
  await app.register(momtFileRoutes, { rt: app.rt })
  await app.register(shortUrlRoutes, { rt })
  await app.register(api, { prefix: '/api/v2', rt, scope, sockets })
  await serveConsole(app)
  await app.ready()
  return app
}

const api: FastifyPluginAsync<{ rt: Runtime; scope: RequestScope; sockets: Sockets }> = async (
  app,
  { rt, scope, sockets },
) => {
  useAccept(app)
  useAuth(app, recordingCallerFinder(app, rt))
  app.addHook('onRequest', (req, _reply, done) => {
    sockets.setAccount(req.raw.socket, req.account.id)
    done()
  })
  useRateLimit(app, rt.config.rateLimit, rt.config.accountRateLimit)
  const runLow = (work: () => void) => (rt.lowDb ? scope.runOn(rt.lowDb, work) : work())
  const places = useAccountPlaces(app, rt.config.accountConcurrency, runLow)
  useIdempotency(app, scope)
  places.releaseOnSend()
  usePatch(app)
  await app.register(accountRoutes)
  await app.register(apiKeyRoutes)
  await app.register(shortCodeRoutes)
  await app.register(connectionRoutes)
  await app.register(sendingRouteRoutes)
  await app.register(rateRoutes)
  await app.register(inboundRoutes)
  await app.register(receiptRoutes)
  await app.register(keywordRoutes)
  await app.register(listRoutes)
  await app.register(listSizeRoutes)
  await app.register(deleteListRoutes)
  await app.register(optInSettingsRoutes)
  await app.register(customFieldRoutes)
  await app.register(subscriberRoutes)
  await app.register(tagRoutes)
  await app.register(importRoutes)
  await app.register(optInRoutes)
  await app.register(messageRoutes)
  await app.register(draftRoutes)
  await app.register(clickRoutes)
  await app.register(pauseRoutes)
  await app.register(flightPlanRoutes)
  await app.register(quietHoursRoutes)
  await app.register(transactionalMessageRoutes)
  await app.register(donationRoutes)
  await app.register(momtReportRoutes)
  await app.register(explanationRoutes)
  await app.register(recipientRoutes)
  await app.register(webhookRoutes)
  await app.register(webhookSecretRoutes)
  await app.register(attemptRoutes)
  await app.register(replayRoutes)
  await app.register(waitingRoutes)
  await app.register(testEventRoutes)
  await app.register(webhookHealthRoutes)
  await app.register(eventRoutes)
}

/** Returns whether an address is that of a proxy, whose sockets belong to many clients. */
function proxyMatcher(trustedProxies: string[]): (address: string) => boolean {
  if (trustedProxies.length === 0) return () => false
  const ranges = makeRanges(trustedProxies)
  return (address) => ranges.has(address)
}

/** Listens on the configured address; `stop` resolves when the running requests have ended. */
export async function startApi(rt: Runtime): Promise<{ port: number; stop(): Promise<void> }> {
  assertHttpTiming(timing)
  const app = await makeApp(rt)
  await app.listen({ host: rt.config.http.host, port: rt.config.http.port, backlog: listenBacklog })
  const { port } = app.server.address() as AddressInfo
  const instanceId = randomUUID()
  const heartbeat = new Repeater(
    () => upsertHeartbeat(rt.db, 'api', instanceId, { metrics: rt.metrics.snapshotIfDue() }),
    1_000,
    (error) => rt.log.debug({ err: error }, 'heartbeat failed, retrying'),
  )
  heartbeat.start()
  return {
    port,
    async stop() {
      await Promise.all([heartbeat.stop(), app.close()])
    },
  }
}

/**
 * Rewrites the path that the vendor's account resource had before 2021 (only this resource was below /api), and removes repeated
 * slashes at the start, with which a path in `Location` would be the name of a host.
 */
function rewriteRequest(req: { url?: string }): string {
  return (req.url ?? '/')
    .replace(/^\/{2,}/, '/')
    .replace(/^\/api\/+accounts\/+me(?=\/*(?:\?|$))/, '/api/v2/accounts/me')
}

const randomPool = Buffer.alloc(12 * 256)
let poolOffset = randomPool.length

/** Returns an unpredictable id. One call for 256 ids: a call per id took 6 % of the CPU time of a small request. */
function makeRequestId(): string {
  if (poolOffset === randomPool.length) {
    randomFillSync(randomPool)
    poolOffset = 0
  }
  const id = randomPool.toString('base64url', poolOffset, poolOffset + 12)
  poolOffset += 12
  return `req_${id}`
}

/** Counts requests by route and status, and measures the time per route. */
function useRequestMeter(app: FastifyInstance, metrics: Metrics) {
  const responses = new LabeledCounter()
  const durations = new Histogram([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10])
  app.addHook('onResponse', async (req, reply) => {
    const route = `${req.method} ${req.routeOptions.url ?? 'unknown'}`
    responses.add(route, String(reply.statusCode))
    durations.add(route, reply.elapsedTime / 1_000)
  })
  metrics.register(() => ({
    name: 'carillon_http_requests_total',
    help: 'Completed requests, by route and status',
    type: 'counter',
    values: responses.samples(['route', 'status']),
  }))
  const name = 'carillon_http_request_seconds'
  const help = 'Time from the request to the end of its response'
  metrics.register(() => ({ name, help, type: 'histogram', values: durations.samples(name, 'route') }))
}

/** Makes uploads, and other work in turns, pause while requests other than uploads are in progress. */
function useShortRequests(app: FastifyInstance) {
  app.decorateRequest('isShort', false)
  const end = (req: FastifyRequest) => {
    if (!req.isShort) return
    req.isShort = false
    endShortRequest()
  }
  app.addHook('onRequest', (req, reply, done) => {
    if (!req.routeOptions.config?.upload) {
      req.isShort = true
      beginShortRequest()
      // onResponse is not called if the client disconnects before its response
      reply.raw.once('close', () => end(req))
    }
    done()
  })
  app.addHook('onResponse', (req, _reply, done) => {
    end(req)
    done()
  })
}

/** Sends the error envelope for bytes that Node cannot parse as HTTP. */
function clientErrorHandler(this: FastifyInstance, error: Error & { code?: string }, socket: Socket) {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW'
  const timedOut = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
  const status = tooLarge ? '431 Request Header Fields Too Large' : timedOut ? '408 Request Timeout' : '400 Bad Request'
  const fault = tooLarge
    ? `Request line and headers are too large (maximum is ${maxHeaderSize} bytes and ${maxHeaders} headers)`
    : timedOut
      ? 'The request was not received within the time limit'
      : 'Malformed HTTP request'
  const body = JSON.stringify(presentError(errors.unreadableRequest(fault), makeRequestId()))
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n${body}`,
  )
}
