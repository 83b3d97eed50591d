import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { FindCaller } from '../http/auth.ts'
import { commonErrors, Id } from '../http/schema.ts'
import type { Runtime } from '../runtime.ts'
import { callerFinder, storedKeyReader } from './api-keys.ts'
import { KeyUse } from './key-use.ts'

const AccountResponse = Type.Object({
  status: Type.Literal('OK'),
  account: Type.Object(
    {
      id: Id('Id of the account.'),
      email: Type.String({ description: 'Login email.' }),
      username: Type.String(),
    },
    { title: 'Account' },
  ),
})

export const accountRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/accounts/me',
    {
      schema: {
        operationId: 'getCurrentAccount',
        summary: 'Get the account of the key in use',
        description: 'The simplest request that checks a key.',
        tags: ['Accounts'],
        response: { 200: AccountResponse, ...commonErrors },
      },
    },
    async (req) => {
      const { id, email, username } = req.account
      return { status: 'OK' as const, account: { id, email, username } }
    },
  )
}

/** As `callerFinder`, and records when each key was last used. */
export function recordingCallerFinder(app: FastifyInstance, rt: Runtime): FindCaller {
  const find = callerFinder(rt.db, rt.config.mode)
  const storedKey = storedKeyReader()
  const use = new KeyUse(rt)
  app.addHook('onClose', () => use.flush())
  return async (key, connection) => {
    const caller = await find(key, storedKey(key, connection))
    if (typeof caller === 'object') use.record(caller.apiKey.id)
    return caller
  }
}
