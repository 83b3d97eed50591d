import type { Db } from '../src/db/db.ts'

/** Returns a Db of a worker that dies at the first statement for which `dies` returns true: none of its later ones runs. */
export function mortal(db: Db, dies: (name: string) => boolean): Db {
  let isDead = false
  const live = <Args extends [string, ...unknown[]], T>(call: (...args: Args) => Promise<T>) => {
    return async (...args: Args): Promise<T> => {
      isDead ||= dies(args[0])
      if (isDead) throw new Error('killed')
      return call(...args)
    }
  }
  const wrap = (inner: Db): Db => ({
    many: live(inner.many) as Db['many'],
    maybeOne: live(inner.maybeOne) as Db['maybeOne'],
    one: live(inner.one) as Db['one'],
    exec: live(inner.exec),
    tx: (work) => inner.tx((tx) => work(wrap(tx))),
    withClient: async (work) => {
      isDead ||= dies('a change of tables')
      if (isDead) throw new Error('killed')
      return inner.withClient(work)
    },
  })
  return wrap(db)
}
