import type { Checks } from '../peers/checks.ts'
import { runLinter } from './tools.ts'

const timeoutMs = 300_000

/** Checks that Redocly and Spectral report nothing about openapi.json, neither an error nor a warning. */
export async function checkLinters(checks: Checks, { root }: { root: string }) {
  await checks.check(
    'Redocly reports nothing',
    async () => {
      const { code, text } = await runLinter('redocly', ['lint', 'openapi.json', '--format=summary'], root)
      if (code !== 0 || /\d+ (?:error|warning)s?/i.test(text)) throw new Error(text)
    },
    timeoutMs,
  )
  await checks.check(
    'Spectral reports nothing',
    async () => {
      const { code, text } = await runLinter('spectral', ['lint', 'openapi.json', '--fail-severity=hint'], root)
      if (code !== 0) throw new Error(text)
    },
    timeoutMs,
  )
}
