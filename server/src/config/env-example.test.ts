import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { expect, test } from 'vitest'
import { readEnv } from './config.ts'
import { renderEnvExample } from './env-example.ts'
import { settings } from './settings.ts'

test('.env.example matches the table of settings', () => {
  expect(readFileSync(new URL('../../../.env.example', import.meta.url), 'utf8')).toBe(renderEnvExample())
})

test('.env.example has the defaults', () => {
  const shown = parseEnv(renderEnvExample().replaceAll(/^#([A-Z0-9_]+=)/gm, '$1'))
  expect(Object.keys(shown).sort()).toEqual(Object.keys(settings).sort())
  const onlyDefaults = Object.entries(settings).filter(([, setting]) => setting.default)
  expect(readEnv(Object.fromEntries(onlyDefaults.map(([name]) => [name, shown[name]])))).toEqual(readEnv({}))
})
