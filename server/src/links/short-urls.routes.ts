import { join } from 'node:path'
import type { FastifyPluginAsync } from 'fastify'
import { errors } from '../errors.ts'
import { LineLimits } from '../http/line-limits.ts'
import { Repeater } from '../lib/repeater.ts'
import type { Runtime } from '../runtime.ts'
import { ClickSpool } from './click-spool.ts'
import type { Click } from './clicks.ts'
import { ClickDrain } from './drain.ts'
import { KnownLinks } from './known-links.ts'
import { linkTokensOf } from './link-tokens.ts'
import { linkPath } from './links.ts'
import { ruleOfRequest } from './machine-rules.ts'

/**
 * Redirects short URLs, for everybody, to the link in the content of their message and to no other target. A click is durable
 * before its response; while the server listens, it stores them in the database.
 */
export const shortUrlRoutes: FastifyPluginAsync<{ rt: Runtime }> = async (app, { rt }) => {
  const folder = join(rt.config.dataDir, 'clicks')
  const spool = new ClickSpool(folder)
  const known = new KnownLinks()
  const limits = new LineLimits(app.log, 'lines of failed clicks omitted')
  const drain = new ClickDrain(rt, folder)
  const repeaters = [
    new Repeater(
      () => drain.round(),
      1_000,
      (error) => rt.log.warn({ err: error }, 'failed to store clicks, retrying'),
    ),
    new Repeater(
      () => known.learn(rt.db),
      2_000,
      (error) => rt.log.debug({ err: error }, 'failed to read links, retrying'),
    ),
  ]
  app.addHook('onListen', async () => {
    for (const repeater of repeaters) repeater.start()
  })
  app.addHook('onClose', async () => {
    await Promise.all(repeaters.map((repeater) => repeater.stop()))
    await spool.close()
    limits.report()
  })

  async function append(click: Click, client: string): Promise<void> {
    try {
      await spool.append(click)
    } catch (error) {
      if (limits.take(undefined, client))
        rt.log.error({ err: error }, 'click not written, its short URL was not redirected')
      throw errors.unavailable()
    }
  }

  app.route({
    method: ['GET', 'HEAD'],
    url: `${linkPath}:token`,
    schema: { hide: true },
    handler: async (req, reply) => {
      const { token } = req.params as { token: string }
      const recipient = linkTokensOf(rt.config)?.read(token)
      const target = recipient && (await known.find(rt.db, recipient.linkId))
      if (!recipient || target === undefined) throw errors.linkNotFound()
      const rule = ruleOfRequest(req.method, req.headers) ?? null
      await append({ ...recipient, clickedAt: rt.clock.now(), rule }, req.ip)
      // the target does not learn the short URL, with which it could count clicks of the recipient
      return reply.code(302).headers({ location: target, 'referrer-policy': 'no-referrer' }).send('')
    },
  })
}
