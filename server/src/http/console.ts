import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { usePageHeaders } from './response-headers.ts'

const folder = fileURLToPath(new URL('../../../console/dist/', import.meta.url))

/** Serves the console at `/`, if it has been built. */
export async function serveConsole(app: FastifyInstance) {
  if (!existsSync(folder)) return
  await app.register(async (pages) => {
    usePageHeaders(pages)
    // a route per file, so that all other paths are unknown for every method
    await pages.register(fastifyStatic, { root: folder, decorateReply: false, schemaHide: true, wildcard: false })
  })
}
