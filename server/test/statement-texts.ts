import { setStatementObserver } from '../src/db/db.ts'

// A prepared statement belongs to a connection. A name with two texts works until one connection of a pool prepares both,
// so tests compare the texts of each name over all connections of the process. Statements of the tests are exempt.

/** Returns a function that throws if a name is used with a second text. */
export function makeTextCheck(): (name: string, text: string) => void {
  const textByName = new Map<string, string>()
  return (name, text) => {
    const known = textByName.get(name)
    if (known === undefined) textByName.set(name, text)
    else if (known !== text) throw new Error(`statement ${name} has two texts:\n${known}\n---\n${text}`)
  }
}

/** Returns whether the statement is from a test, according to the first caller outside Db and its wrappers. */
function isFromTest(): boolean {
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
  if (!isFromTest()) check(name, text)
})
