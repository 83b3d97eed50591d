import { Badge, Tooltip } from '@mantine/core'
import type { Mode } from './status.ts'

const labels: Record<Mode, { label: string; color: string; hint: string }> = {
  sandbox: {
    label: 'Sandbox',
    color: 'yellow',
    hint: 'Texts go to the simulator on this machine over real SMPP. No phone receives a text.',
  },
  production: { label: 'Production', color: 'red', hint: 'Texts go to real phones and cost money.' },
}

/** Shows whether texts sent here reach real phones. */
export function ModeBadge({ mode }: { mode: Mode }) {
  const { label, color, hint } = labels[mode]
  return (
    <Tooltip label={hint} multiline w={260} events={{ hover: true, focus: true, touch: true }}>
      <Badge size="lg" variant="light" color={color} tabIndex={0} aria-label={`${label} mode. ${hint}`}>
        {label}
      </Badge>
    </Tooltip>
  )
}
