import { setStatementObserver } from '../src/db/db.ts'

// A prepared statement belongs to a connection. A name with two texts works until both meet on one connection of a pool, so
// tests compare the texts of a name over all connections of the process. Statements that tests write themselves are exempt.

/** Returns a function that throws when a name comes with a second text. */
export function makeTextCheck(): (name: string, text: string) => void {
  const textOf = new Map<string, string>()
  return (name, text) => {
    const known = textOf.get(name)
    if (known === undefined) textOf.set(name, text)
    else if (known !== text) throw new Error(`statement ${name} has two texts:\n${known}\n---\n${text}`)
  }
}

/** Whether the statement comes from a test, by the first caller outside of Db and of what passes it on. */
function isOfTest(): boolean {
  const frames = new Error().stack?.split('\n').slice(1) ?? []
  const caller = frames.find((frame) => !/\/src\/db\/|test\/(statement-texts|api)\.ts/.test(frame))
  return caller !== undefined && /\.test\.ts|\/server\/test\//.test(caller)
}

const check = makeTextCheck()
const seen = new Set<string>()

setStatementObserver((name, text) => {
  const pair = `${name} ${text}`
  if (seen.has(pair)) return
  seen.add(pair)
  if (!isOfTest()) check(name, text)
})
