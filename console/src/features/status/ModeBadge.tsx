import { Badge, Tooltip } from '@mantine/core'
import type { Mode } from './status.ts'

const words: Record<Mode, { label: string; color: string; hint: string }> = {
  sandbox: {
    label: 'Sandbox',
    color: 'yellow',
    hint: 'Texts go to the simulator over real SMPP on this machine. No handset gets anything.',
  },
  production: { label: 'Production', color: 'red', hint: 'Texts go to real handsets, and cost money.' },
}

/** Tells at a glance whether a text sent here reaches anybody. */
export function ModeBadge({ mode }: { mode: Mode }) {
  const { label, color, hint } = words[mode]
  return (
    <Tooltip label={hint} multiline w={260} events={{ hover: true, focus: true, touch: true }}>
      <Badge size="lg" variant="light" color={color} tabIndex={0} aria-label={`${label} mode. ${hint}`}>
        {label}
      </Badge>
    </Tooltip>
  )
}
